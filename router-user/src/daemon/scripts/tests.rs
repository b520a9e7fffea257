use config::NoRows;
use config::Rows;

use super::*;

/// Makes every command true, as the loop does.
fn obey(scripts: &Arc<Scripts>, Wishes { tasks: mut queue, .. }: Wishes) {
    let scripts = Arc::clone(scripts);
    std::thread::spawn(move || {
        while let Some(task) = queue.blocking_recv() {
            let commit = match task {
                Task::Commit(commit) => commit,
                Task::Step { word, reply } => {
                    let _ = reply.send(Ok(format!("{word} 1\n")));
                    continue;
                }
                Task::Act { act, reply } => {
                    let items = act.items.len();
                    let _ = reply.send(Err(format!("{} of {items}", act.verb)));
                    continue;
                }
            };
            let result = match scripts.is_current(commit.generation) {
                true => {
                    scripts.publish(&commit.tree);
                    Ok(())
                }
                false => Err("changed".into()),
            };
            let _ = commit.reply.send(result);
        }
    });
}

async fn run(scripts: &Arc<Scripts>, source: &str) -> Result<String, Errors> {
    scripts.finish("test", Script::parse(source)?).await
}

#[tokio::test]
async fn a_script_changes_the_configuration_in_force_and_keeps_its_globals() {
    let (scripts, queue) = Scripts::new(Place::default());
    obey(&scripts, queue);
    let source =
        ":global n 1; /interface bridge add name=b1; :put [/interface bridge get b1 name]; :log warning seen";
    assert_eq!(run(&scripts, source).await.unwrap(), "b1\n");
    assert_eq!(scripts.current().1.items("interface/bridge").count(), 1);
    assert_eq!(run(&scripts, ":global n; :set n ($n + 1); :put $n").await.unwrap(), "2\n");
    let log = With(NoRows, &scripts).rows("log");
    assert!(log.iter().any(|row| row.values.contains(&("message".into(), "seen".into()))));
    let globals = With(NoRows, &scripts).rows("system/script/environment");
    assert_eq!(globals.len(), 1);
}

#[tokio::test]
async fn what_is_no_part_of_the_configuration_is_asked_of_the_loop() {
    let (scripts, queue) = Scripts::new(Place::default());
    obey(&scripts, queue);
    let source = "/ip firewall filter; add chain=forward; add chain=input; reset-counters [find chain=input]";
    let error = run(&scripts, source).await.unwrap_err();
    assert!(error.to_string().starts_with("reset-counters of 1"), "{error}");
}

#[tokio::test]
async fn stored_scripts_count_their_runs_and_an_endless_one_ends_with_an_error() {
    let (scripts, queue) = Scripts::new(Place::default());
    obey(&scripts, queue);
    run(&scripts, "/system script add name=s source=\":put hello\"").await.unwrap();
    assert_eq!(run(&scripts, "/system script run s").await.unwrap(), "hello\n");
    assert_eq!(run(&scripts, ":put [/system script get s run-count]").await.unwrap(), "1\n");
    let error = run(&scripts, ":global f do={ :global f; [$f] }; $f").await.unwrap_err();
    assert!(error.to_string().starts_with("script was ended: nested too deeply"), "{error}");
    assert!(locked(&scripts.jobs).is_empty());
}

#[tokio::test]
async fn a_job_runs_beside_the_script_that_started_it() {
    let (scripts, queue) = Scripts::new(Place::default());
    obey(&scripts, queue);
    run(&scripts, ":execute { :global done yes }").await.unwrap();
    for _ in 0..100 {
        if !scripts.globals.list().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the job did not run");
}
