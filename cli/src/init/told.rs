//! What `init` says when it is done.

use crate::args::init::InitArgs;

/// What was made, and what comes next.
pub(super) fn made(args: &InitArgs) -> String {
    let dir = args.dir.display();
    let domain = &args.trust_domain;
    let operator = &args.operator;
    format!(
        "A server for {domain} is ready in {dir}:\n\
         \x20 ca/                      the certificate authority; ca/root.key is needed every two years only: keep it elsewhere\n\
         \x20 server.key, server.crt   the server's identity, 90 days; the server renews it\n\
         \x20 operator.key, .crt       the operator {operator}, 90 days; renew it with `vouchsafe credential issue`\n\
         \x20 operator.toml            the operator's profile, which commands find by --dir {dir}\n\
         \x20 trust-bundle.pem         the roots by which the server is known\n\
         \x20 engine.secret            the engine's own secret\n\
         \x20 result.key               the key that attestation results are signed with\n\
         \x20 log.key, log.pub         the key that the decision log is signed with, and its public half\n\
         \x20 ek-roots/                the makers of TPMs that are trusted: none yet\n\
         \x20 vouchsafe.toml           the settings\n\
         \n\
         Next:\n\
         \x20 1. Say whose TPMs you trust: put their makers' certificates into {dir}/ek-roots (README.txt there says more).\n\
         \x20 2. Start the server:       vouchsafe serve --dir {dir}\n\
         \x20 3. Let a device in:        vouchsafe token create --dir {dir} --out join.json\n\
         \x20 4. On the device, as root: vouchsafe-agent enrol --join join.json\n",
    )
}
