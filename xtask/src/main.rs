//! The developer's command: `cargo xtask <command>`. Builds the guests before the host, which plain Cargo cannot, and runs
//! what developers and CI run. Knows folders and tools, nothing of what the code does.

mod autobahn;
mod commands;
mod conformance;
mod crates;
mod doctor;
mod fuzz;
mod pages;
mod publish;
mod repo;
mod scripts;
mod step;
mod toolchain;

use std::process::ExitCode;

use repo::Repo;

const USAGE: &str = "\
cargo xtask <command>

  run [DIR] [-- ARGS]  build the plugins and the host, then serve DIR (default: .)
  test [FILTER]        build everything that tests need and run them all, or those of the host that FILTER selects
  bench [PART]         measure a release build, all of it or one part (files, fanout, calls, …)
  fuzz [TARGET] [SECONDS]  look for input that does harm, one target or all (default: 60 s each)
  conformance [JUDGE]  let judges of others try a running host: documents (OpenRPC, AsyncAPI), mcp, rest (Schemathesis),
                       sockets (Autobahn)
  build                the release binary target/release/midplane, with the first-party plugins inside
  plugins              the first-party plugins to target/plugins, the examples to target/examples
  guests               the guests of the tests to target/guests
  ci                   everything that must hold before a change is merged
  doctor               which tools are here, which are missing, and what has been built
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let repo = Repo::here();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", rest @ ..] => commands::run(&repo, rest),
        ["test"] => commands::test(&repo),
        ["test", filter @ ..] => commands::test_only(&repo, filter),
        ["bench", rest @ ..] => commands::bench(&repo, rest),
        ["fuzz", rest @ ..] => fuzz::fuzz(&repo, rest),
        ["conformance"] => conformance::conformance(&repo, None),
        ["conformance", judge @ ("documents" | "mcp" | "rest" | "sockets")] => {
            conformance::conformance(&repo, Some(judge))
        }
        ["build"] => commands::build(&repo),
        ["plugins"] => commands::plugins(&repo),
        ["guests"] => commands::guests(&repo),
        ["ci"] => commands::ci(&repo),
        ["doctor"] => doctor::doctor(&repo),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
