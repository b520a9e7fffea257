use std::{env, fs};
fn main() {
    for file in env::args().skip(1) {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let report = router_config::check([(file.as_str(), bytes.as_slice())]);
        for e in report.files.iter().flat_map(|f| &f.errors) {
            let l = lines.get(e.line as usize - 1).copied().unwrap_or("");
            let mut n = e.line as usize - 1;
            while n > 0 && !lines[n].starts_with('/') {
                n -= 1;
            }
            println!(
                "{}:{}:{} {} | {} || {} >> {}",
                file.rsplit('/').next().unwrap(),
                e.line,
                e.column,
                e.message,
                e.hint.clone().unwrap_or_default().replace('\n', " "),
                lines.get(n).unwrap_or(&""),
                l
            );
        }
    }
}
