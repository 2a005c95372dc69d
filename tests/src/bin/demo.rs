//! `make demo`; see [`emac_tests::demo`].

fn main() -> std::process::ExitCode {
    emac_tests::demo::main()
}
