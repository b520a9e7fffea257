//! `routerd`: the router.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
