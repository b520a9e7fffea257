use std::cell::RefCell;
use std::rc::Rc;

use anyhow::bail;
use plan::desired::ImagePort;

use super::*;

/// What happened, in order; the n-th action fails.
#[derive(Clone, Default)]
struct Log {
    lines: Rc<RefCell<Vec<String>>>,
    fail_at: Option<usize>,
}

impl Log {
    fn act(&self, what: String) -> anyhow::Result<()> {
        let mut lines = self.lines.borrow_mut();
        if self.fail_at == Some(lines.len()) {
            lines.push(format!("FAILED {what}"));
            bail!("{what}");
        }
        lines.push(what);
        Ok(())
    }
}

struct FakeHost(Log);

impl Host for FakeHost {
    type Step = &'static str;
    type Applied = Vec<&'static str>;

    async fn diff(&self, _: &Desired) -> anyhow::Result<Vec<Self::Step>> {
        self.0.act("diff".into())?;
        Ok(vec!["address", "route", "forward"])
    }

    fn opens_forwarding(step: &Self::Step) -> bool {
        *step == "forward"
    }

    async fn apply(&self, steps: Vec<Self::Step>) -> anyhow::Result<Self::Applied> {
        self.0.act(format!("apply {}", steps.join(" ")))?;
        Ok(steps)
    }

    async fn undo(&self, applied: Self::Applied) -> anyhow::Result<()> {
        self.0.act(format!("undo {}", applied.join(" ")))
    }
}

struct FakePlane(Log);

impl Plane for FakePlane {
    type Staged = usize;

    fn stage(&mut self, image: &Image) -> anyhow::Result<usize> {
        self.0.act(format!("stage {}", image.ports.len()))?;
        Ok(image.ports.len())
    }

    fn flip(&mut self, staged: usize) -> anyhow::Result<()> {
        self.0.act(format!("flip {staged}"))
    }

    fn abort(&mut self, staged: usize) {
        self.0.act(format!("abort {staged}")).unwrap();
    }
}

/// Old image: no port; new image: one.
async fn attempt(fail_at: Option<usize>) -> (bool, Vec<String>) {
    let log = Log { fail_at, ..Log::default() };
    let port = ImagePort { name: "ether1".into(), host_name: "ether1".into(), port: Default::default() };
    let mut desired = Desired::default();
    desired.image.ports.push(port);
    let result =
        run(&FakeHost(log.clone()), &mut FakePlane(log.clone()), Some(&Image::default()), &desired, || {
            log.act("keep".into())
        })
        .await;
    (result.is_ok(), log.lines.take())
}

#[tokio::test]
async fn forwarding_opens_after_the_flip_and_the_configuration_is_kept_last() {
    let (ok, lines) = attempt(None).await;
    assert!(ok);
    assert_eq!(lines, ["diff", "stage 1", "apply address route", "flip 1", "apply forward", "keep"]);
}

#[tokio::test]
async fn whatever_fails_all_before_it_is_undone_in_reverse() {
    let ends: [&[&str]; 6] = [
        &["FAILED diff"],
        &["FAILED stage 1"],
        &["FAILED apply address route", "abort 1"],
        &["FAILED flip 1", "undo address route"],
        &["FAILED apply forward", "stage 0", "flip 0", "undo address route"],
        &["FAILED keep", "undo forward", "stage 0", "flip 0", "undo address route"],
    ];
    for (n, end) in ends.iter().enumerate() {
        let (ok, lines) = attempt(Some(n)).await;
        assert!(!ok);
        assert_eq!(lines.get(n..).unwrap(), *end, "failure of action {n}");
    }
}
