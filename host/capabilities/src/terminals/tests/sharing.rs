//! Several clients at one terminal: who drives, whose size counts, whose input goes on.

use midplane_model::PeerId;
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_role_of_the_driver_goes_back_when_it_is_given_up() {
    let bench = Bench::new();
    let id = bench.run("stty -echo; echo ready; read line; echo \"got $line\"; read go").await;
    let (mut person, agent) =
        (bench.attach(&id, Role::Drive), bench.terminals.attach(&id, &as_role(Role::View)).unwrap());
    let place = (PeerId(7), 3);
    bench.terminals.place(&id, agent.number, place.0, place.1);
    let mut agent = Client::new(agent);
    assert_eq!(person.until_meta("driver").await, true);
    bench.terminals.claim(&id, place.0, place.1).unwrap();
    assert_eq!(person.until_meta("driver").await, false);
    assert_eq!(agent.until_meta("driver").await, true);
    bench.terminals.release(&id, place.0, place.1).unwrap();
    assert_eq!(person.until_meta("driver").await, true);
    assert_eq!(fault(bench.terminals.claim(&id, place.0, 4).unwrap_err()).0, "not_found");
    // And from one that leaves.
    let other = bench.attach(&id, Role::Drive);
    assert_eq!(person.until_meta("driver").await, false);
    drop(other);
    assert_eq!(person.until_meta("driver").await, true);
    person.input(0, b"mine\n");
    person.until_sees("got mine").await;
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn input_goes_on_once_over_a_broken_connection() {
    let bench = Bench::new();
    let id = bench.run("stty -echo -icanon; echo ready; head -c 6; read go").await;
    let first = bench.terminals.attach(&id, &as_role(Role::Drive)).unwrap();
    let lineage = first.lineage.to_string();
    assert_eq!(first.input_offset, 0);
    let mut first = Client::new(first);
    first.until_sees("ready").await;
    first.input(0, b"abc");
    first.until(|client| client.input_acks.last() == Some(&3)).await;
    let again = AttachOptions { lineage: Some(lineage.clone()), ..as_role(Role::Drive) };
    // While the old connection is still believed to live, and after it has ended.
    let second = bench.terminals.attach(&id, &again).unwrap();
    assert_eq!((&*second.lineage, second.input_offset), (&*lineage, 3));
    first.drain().await;
    drop(second);
    drop(first);
    let mut third = Client::new(bench.terminals.attach(&id, &again).unwrap());
    third.input(0, b"abcd");
    third.input(4, b"ef");
    third.until_sees("abcdef").await;
    let unknown = AttachOptions { lineage: Some("l-unknown".into()), ..as_role(Role::View) };
    assert_eq!(bench.terminals.attach(&id, &unknown).unwrap().input_offset, 0);
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn who_only_looked_on_does_not_make_the_host_forget_what_was_typed() {
    let bench = Bench::new();
    let id = bench.run("stty raw -echo; echo ready; exec cat").await;
    let typist = bench.terminals.attach(&id, &as_role(Role::Drive)).unwrap();
    let lineage = typist.lineage.to_string();
    let mut typist = Client::new(typist);
    typist.until_sees("ready").await;
    typist.input(0, b"typed");
    typist.until_sees("typed").await;
    drop(typist);
    for _ in 0..2 * midplane_model::limits::TERMINAL_LINEAGES_MAX {
        drop(bench.attach(&id, Role::View));
    }
    let goes_on = |name: &str| AttachOptions { lineage: Some(name.to_owned()), ..as_role(Role::Drive) };
    assert_eq!(bench.terminals.attach(&id, &goes_on(&lineage)).unwrap().input_offset, 5);
    // No name is nobody's, also where one was given away.
    let nameless = bench.terminals.attach(&id, &goes_on("")).unwrap();
    assert_eq!((nameless.input_offset, nameless.lineage.is_empty()), (0, false));
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn sizes_follow_the_driver_the_smallest_window_or_nobody() {
    let bench = Bench::new();
    let id = bench.run("read go").await;
    let size = || bench.terminals.get(&id).unwrap().size;
    let sized = |role, cols, rows| AttachOptions { size: Some(Size { cols, rows }), ..as_role(role) };
    let driver = Client::new(bench.terminals.attach(&id, &sized(Role::Drive, 100, 40)).unwrap());
    let mut viewer = Client::new(bench.terminals.attach(&id, &sized(Role::View, 60, 50)).unwrap());
    viewer.step().await;
    assert_eq!((size(), viewer.emulator.size()), (Size { cols: 100, rows: 40 }, Size { cols: 100, rows: 40 }));
    bench.terminals.set_size_policy(&id, SizePolicy::Smallest).unwrap();
    assert_eq!(viewer.until_meta("size").await, json!({ "cols": 60, "rows": 40 }));
    viewer.resize_unseen(30, 30);
    assert_eq!(viewer.until_meta("size").await, json!({ "cols": 100, "rows": 40 }));
    viewer.resize(30, 30);
    assert_eq!(viewer.until_meta("size").await, json!({ "cols": 30, "rows": 30 }));
    drop(viewer);
    assert_eq!(size(), Size { cols: 100, rows: 40 });
    bench.terminals.set_size_policy(&id, SizePolicy::Fixed).unwrap();
    driver.resize(50, 50);
    assert_eq!(size(), Size { cols: 100, rows: 40 });
    bench.terminals.set_size_policy(&id, SizePolicy::Driver).unwrap();
    assert_eq!(size(), Size { cols: 50, rows: 50 });
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn a_terminal_has_a_bounded_number_of_attachments() {
    let bench = Bench::new();
    let id = bench.run("read go").await;
    let mut clients: Vec<_> = (0..64).map(|_| bench.terminals.attach(&id, &as_role(Role::View)).unwrap()).collect();
    assert_eq!(fault(bench.terminals.attach(&id, &as_role(Role::View)).err().unwrap()).0, "quota_exceeded");
    clients.pop();
    assert!(bench.terminals.attach(&id, &as_role(Role::View)).is_ok());
    bench.terminals.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_terminals_together_keep_within_their_memory() {
    let memory_bytes = 12 * 1024 * 1024;
    let bench = Bench::with_limits(TerminalLimits { memory_bytes, ..TerminalLimits::default() });
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(
            bench
                .run("yes 'a line of some length, as programs write them' | head -c 6000000; printf DONE; read go")
                .await,
        );
    }
    for id in &ids {
        bench.wait_for_text(id, "DONE").await;
    }
    // A screen's own cells are not given up, nor the block that output is written into.
    let (used, cells) = (bench.terminals.memory_bytes(), 6 * 3 * 1024 * 1024);
    assert!(used <= memory_bytes + cells, "{used}");
    let piece = bench.terminals.read(&ids[0], 0, 100).unwrap();
    assert!(piece.lost_bytes > 4 * 1024 * 1024, "less is kept than a whole ring: {}", piece.lost_bytes);
    assert_eq!(bench.terminals.screen(&ids[0], 100).unwrap().above.len(), 100);
    bench.terminals.shutdown().await;
    drop(ids);
    assert_eq!(bench.terminals.memory_bytes(), 0);
}
