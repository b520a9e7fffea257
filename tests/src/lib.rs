//! Support for black-box tests: packet builder, topologies.
