//! Logs are written and read back.

use super::*;
use crate::kernel::limits::LOG_ENTRY_BYTES_MAX;
use docker_api::stream::StreamKind;
use std::path::Path;
use tokio::sync::watch;

fn query(tail: Option<usize>) -> LogQuery {
    LogQuery {
        stdout: true,
        stderr: true,
        since: None,
        until: None,
        tail,
    }
}

fn plan(name: &str) -> LogPlan {
    let directory = std::env::temp_dir().join(format!("cb-log-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    LogPlan {
        path: directory.join("x.log"),
        file_bytes_max: None,
        files_max: 1,
        compress: false,
        attributes: BTreeMap::new(),
        keeps_bytes: false,
    }
}

async fn texts(plan: &LogPlan, query: LogQuery) -> Vec<String> {
    let mut entries = read(plan, query, None);
    let mut texts = Vec::new();
    while let Some(entry) = entries.recv().await {
        texts.push(entry.log);
    }
    texts
}

async fn count_to(log: &mut LogWriter, numbers: std::ops::Range<usize>) {
    for number in numbers {
        log.write(StreamKind::Stdout, format!("line {number}\n").as_bytes())
            .await;
    }
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number}\n")).collect()
}

fn names(plan: &LogPlan) -> Vec<String> {
    let directory = plan.path.parent().unwrap_or(Path::new("/"));
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn lines_are_put_together_and_long_ones_split() {
    let plan = plan("lines");
    let mut log = LogWriter::open(plan.clone()).unwrap();
    log.write(StreamKind::Stdout, b"a\nb").await;
    log.write(StreamKind::Stderr, b"e\n").await;
    log.write(StreamKind::Stdout, b"c\n").await;
    log.write(StreamKind::Stdout, &vec![b'x'; LOG_ENTRY_BYTES_MAX + 5])
        .await;
    log.finish(StreamKind::Stdout).await;
    let texts = texts(&plan, query(None)).await;
    assert_eq!(texts[..3], ["a\n", "e\n", "bc\n"]);
    assert_eq!((texts[3].len(), texts[4].len()), (LOG_ENTRY_BYTES_MAX, 5));
}

#[tokio::test]
async fn the_last_lines_are_found_from_the_end() {
    let plan = plan("tail");
    let mut log = LogWriter::open(plan.clone()).unwrap();
    count_to(&mut log, 0..5000).await;
    assert_eq!(texts(&plan, query(Some(2))).await, numbered(4998..5000));
    assert_eq!(texts(&plan, query(Some(0))).await, Vec::<String>::new());
    assert_eq!(texts(&plan, query(Some(3000))).await, numbered(2000..5000));
    assert_eq!(texts(&plan, query(Some(9000))).await.len(), 5000);
}

#[tokio::test]
async fn a_follower_gets_everything_up_to_the_end_of_the_run() {
    let plan = plan("follow");
    let mut log = LogWriter::open(plan.clone()).unwrap();
    log.write(StreamKind::Stdout, b"first\n").await;
    let (changes, end, follow) = follow();
    let mut entries = read(&plan, query(None), Some(follow));
    assert_eq!(entries.recv().await.unwrap().log, "first\n");
    log.write(StreamKind::Stdout, b"second\n").await;
    changes.send_replace(1);
    assert_eq!(entries.recv().await.unwrap().log, "second\n");
    log.write(StreamKind::Stdout, b"last\n").await;
    drop(end);
    assert_eq!(entries.recv().await.unwrap().log, "last\n");
    assert!(entries.recv().await.is_none());
}

fn follow() -> (watch::Sender<u64>, tokio::sync::oneshot::Sender<()>, Follow) {
    let (changes, watched) = watch::channel(0);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let over = Box::pin(async move {
        let _ = ended.await;
    });
    let follow = Follow {
        changes: watched,
        over,
    };
    (changes, end, follow)
}

#[tokio::test]
async fn a_full_file_is_put_aside_and_the_oldest_goes() {
    for compress in [false, true] {
        let plan = LogPlan {
            file_bytes_max: Some(1000),
            files_max: 3,
            compress,
            ..plan(&format!("rotate-{compress}"))
        };
        let mut log = LogWriter::open(plan.clone()).unwrap();
        count_to(&mut log, 0..100).await;
        // Ends with what is being compressed.
        log.finish(StreamKind::Stdout).await;
        let kept = texts(&plan, query(None)).await;
        assert_eq!(kept, numbered(100 - kept.len()..100));
        // A line takes some 80 bytes, so a file holds a dozen or so, and the last one may be empty.
        assert!((24..60).contains(&kept.len()), "{}", kept.len());
        assert_eq!(texts(&plan, query(Some(20))).await, numbered(80..100));
        for _ in 0..100 {
            let gz = if compress { ".gz" } else { "" };
            if names(&plan) == ["x.log".to_owned(), format!("x.log.1{gz}"), format!("x.log.2{gz}")] {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let gz = if compress { ".gz" } else { "" };
        assert_eq!(
            names(&plan),
            ["x.log".to_owned(), format!("x.log.1{gz}"), format!("x.log.2{gz}")]
        );
        assert_eq!(texts(&plan, query(Some(20))).await, numbered(80..100));
    }
}

#[tokio::test]
async fn a_single_file_is_emptied_when_it_is_full() {
    let plan = LogPlan {
        file_bytes_max: Some(1000),
        ..plan("single")
    };
    let mut log = LogWriter::open(plan.clone()).unwrap();
    count_to(&mut log, 0..100).await;
    let kept = texts(&plan, query(None)).await;
    assert_eq!(kept, numbered(100 - kept.len()..100));
    assert!(kept.len() < 20);
    assert_eq!(names(&plan), ["x.log"]);
}

#[tokio::test]
async fn a_follower_goes_from_file_to_file() {
    for compress in [false, true] {
        let plan = LogPlan {
            file_bytes_max: Some(1000),
            files_max: 50,
            compress,
            ..plan(&format!("follow-rotate-{compress}"))
        };
        let mut log = LogWriter::open(plan.clone()).unwrap();
        count_to(&mut log, 0..30).await;
        let (changes, end, follow) = follow();
        let mut entries = read(&plan, query(None), Some(follow));
        let mut seen = vec![entries.recv().await.unwrap().log];
        for part in 1..10 {
            count_to(&mut log, part * 30..(part + 1) * 30).await;
            changes.send_replace(part as u64);
            while seen.len() < part * 30 {
                seen.push(entries.recv().await.unwrap().log);
            }
        }
        drop(end);
        while let Some(entry) = entries.recv().await {
            seen.push(entry.log);
        }
        assert_eq!(seen, numbered(0..300));
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_where_the_driver_keeps_them() {
    let binary = [0xff, 0x00, 0x80, b'\n'];
    for keeps_bytes in [true, false] {
        let plan = LogPlan {
            keeps_bytes,
            attributes: BTreeMap::from([("tag".to_owned(), "t".to_owned())]),
            ..plan(&format!("binary-{keeps_bytes}"))
        };
        let mut log = LogWriter::open(plan.clone()).unwrap();
        log.write(StreamKind::Stdout, &binary).await;
        let entry = read(&plan, query(None), None).recv().await.unwrap();
        let wanted = if keeps_bytes {
            binary.to_vec()
        } else {
            "\u{fffd}\0\u{fffd}\n".as_bytes().to_vec()
        };
        assert_eq!(entry.bytes(), wanted);
        assert_eq!(entry.attrs, plan.attributes);
    }
}
