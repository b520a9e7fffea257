use std::process::ExitCode;

fn main() -> ExitCode {
    router_user::daemon::main()
}
