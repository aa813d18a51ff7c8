/// Runs what a fuzz target has found, and the seeds it began from. For tests of the crates whose doors are fuzzed: each includes
/// this file, because their doors are open to their own tests alone.
fn run_again(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    for input in inputs {
        eprintln!("{}", input.display());
        run(&std::fs::read(&input).unwrap());
    }
}
