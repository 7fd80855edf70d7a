//! What is asked for in the wrong way: the message says what would be right, and the exit code is never a verdict's.

use crate::support::{Ran, run_in, vouchsafe};

fn mistake(line: &str) -> Ran {
    let ran = vouchsafe(line.split(' ').filter(|word| !word.is_empty()));
    assert_eq!(ran.code, 1, "{line}: {ran:?}");
    assert_eq!(ran.stdout, "", "{line}");
    ran
}

#[test]
fn mistakes_on_the_command_line_are_told_and_exit_1() {
    let lines = [
        "",
        "no-such-command",
        "device show uws",
        "device show ../../x",
        "device trust uws2 --at yesterday",
        "device trust uws2 --threshold 101",
        "device trust uws2 --span 0s",
        "device assign uws2",
        "device assign uws2 --image web@1 --none",
        "device revoke uws2",
        "device list --state asleep",
        "device list --limit 0",
        "image show web",
        "image capture --device uws2 --name we/b --version 1",
        "image capture --device uws2 --name web --version 1 --ignore 24",
        "token create --ttl forever",
        "token create --uses 0",
        "token create --pin-ek abcd",
        "token revoke 7",
        "credential issue --role admin --name a --out x",
        "credential issue --role operator --name A --out x",
        "decision ask --action read",
        "decision ask --action= --resource x",
        "decision ask --action read --resource x --flow fast",
        "decision ask --action read --resource x --no-flow --flow encrypted",
        "decision ask --action read --resource x --source-ip nowhere",
        "device result uws2 --nonce 0011",
        "device result uws2 --format xml",
        "verify quote --ak a --message b",
        "verify quote --ak a --message b --signature c --nonce 9",
        "verify quote --ak a --message b --signature c --format xml",
        "verify result",
        "verify result a",
        "verify result a --keys b --nonce 00112233445566",
        "init --dir x --trust-domain example.org",
        "init --dir x --trust-domain Example.org --host a",
        "init --dir x --trust-domain example.org --host 10.0.0.1",
        "init --dir x --trust-domain example.org --host a_b/c",
        "init --dir x --trust-domain example.org --host a --api-port 0",
        "device list --profile a --dir b",
    ];
    let told: Vec<String> =
        lines.into_iter().map(|line| format!("$ vouchsafe {line}\n{}", mistake(line).stderr.trim_end())).collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn without_a_profile_an_operator_is_told_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    for line in [&["device", "list"][..], &["token", "list"], &["image", "list"]] {
        let ran = run_in(dir.path(), line);
        // Where a server is installed, its profile is found instead.
        if std::path::Path::new("/var/lib/vouchsafe/operator.toml").exists() {
            println!("skipped: this machine has a server of its own");
            return;
        }
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.starts_with("error: no operator profile was found"), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: on the server's machine, name the folder"), "{}", ran.stderr);
    }
}

#[test]
fn a_profile_that_is_named_has_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), ["device", "list", "--dir", "nowhere"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot read nowhere/operator.toml: No such file"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: name an existing operator.toml"), "{}", ran.stderr);
}
