//! The RouterOS configuration language, its schema, and the configuration tree. Pure: no I/O.
