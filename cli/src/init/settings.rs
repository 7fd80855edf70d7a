//! The texts that `init` writes: the server's settings, and what belongs among the trusted makers of TPMs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::args::init::InitArgs;

/// What is told in the folder of trusted makers of TPMs.
pub(super) const EK_ROOTS_README: &str = "\
Whom to believe about TPMs
==========================

Put here the certificates of those who make the TPMs of your devices: their root certificates, and intermediate ones that
the TPMs do not carry themselves. Each of them is believed by itself, an intermediate one as much as a root. Every file that
ends in .pem, .crt, .cer or .der is read when the server starts; PEM files may hold several certificates. What cannot be used
is named in the server's log.

A device whose endorsement key has a certificate that leads to one of these enrols with the endorsement `vendor`: its
maker says that the key is in a real TPM. With this folder empty, a device can only enrol by a token that names its
endorsement key (vouchsafe token create --pin-ek …): the endorsement is then `pinned`.

Get the certificates from the makers themselves, such as AMD, Infineon, Intel, Microsoft, Nuvoton or STMicroelectronics, and
only those of the TPMs that you have. For swtpm, the software TPM, it is the certificate of its local authority, usually
/var/lib/swtpm-localca/swtpm-localca-rootca-cert.pem; who can read the key beside that can make TPMs at will.
";

/// `https://engine.example.org:8443`, by the first name or else the first address.
pub(super) fn public_url(args: &InitArgs, port: u16) -> String {
    let host = match (args.hosts.first(), args.ips.first()) {
        (Some(name), _) => name.clone(),
        (None, Some(IpAddr::V6(address))) => format!("[{address}]"),
        (None, Some(address)) => address.to_string(),
        // The command line asks for one of both.
        (None, None) => "localhost".to_owned(),
    };
    format!("https://{host}:{port}")
}

/// The server's settings. What is commented out is the default.
pub(super) fn text(args: &InitArgs) -> String {
    let on = |port| SocketAddr::new(args.listen, port);
    let ops = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), args.ops_port);
    format!(
        "{HEAD}
trust_domain = \"{domain}\"

[listen]
# Hosts that have no identity yet enrol here. TLS, the server alone has a certificate.
enrol = \"{enrol}\"
# Devices, enforcement points and operators come here. TLS, both sides have a certificate.
api = \"{api}\"
# Probes (/health/live, /health/ready) and metrics, for this machine: plain HTTP and no questions asked.
ops = \"{ops}\"
# Enforcement points that have a key in place of a certificate ([[points]] below) ask for decisions here, if it is set. TLS,
# the server alone has a certificate; points_tls = false is plain HTTP, for points on this machine alone.
# points = \"{points}\"
# points_tls = true

[public]
# The same doors as agents reach them, from outside. They are written into join files.
enrol = \"{public_enrol}\"
api = \"{public_api}\"
# The door of points that have a key, for AuthZEN's metadata.
# points = \"{public_points}\"
{TAIL}",
        domain = args.trust_domain,
        points = on(8445),
        public_points = public_url(args, 8445),
        enrol = on(args.enrol_port),
        api = on(args.api_port),
        public_enrol = public_url(args, args.enrol_port),
        public_api = public_url(args, args.api_port),
    )
}

const HEAD: &str = "\
# The settings of a Vouchsafe server; it reads them when it starts (vouchsafe serve).
# Paths are relative to this folder. A line that is commented out shows the default.
# The environment overrides: VOUCHSAFE_SERVER_LISTEN__API is `api` of [listen].

# The name under which all identities are issued. The certificate authority is made for it, so that it stays.";

const TAIL: &str = r#"
[trust.enrol]
# The least that must vouch for a device's TPM: "vendor" (its maker, by a certificate in ek-roots/) or "pinned" (an operator
# who named its endorsement key in a join token). "danger_none" lets any program enrol as a device.
# minimum_endorsement = "pinned"
# How long an agent has between the two messages of its enrolment.
# ticket_ttl_secs = 300

[trust.attest]
# The PCRs that devices quote.
# pcrs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
# The score that devices are asked to stay above, by attesting often enough, within the two intervals.
# keep_above = 60.0
# min_interval_secs = 30
# max_interval_secs = 600
# How long after it is due evidence is still looked at.
# grace_secs = 600
# How much older than its round trip a quote may be before it is reported.
# delay_tolerance_secs = 30
# A device without a golden image: "match" gives it the newest whose values it has in full, "wait" leaves it to an operator.
# first_use = "match"

[trust.certificates]
# How long a device's certificate is good.
# device_ttl_secs = 86400

[trust.result]
# How long after its quote an attestation result for relying parties is good.
# max_age_secs = 900

[policy]
# A folder of Rego and data in place of the built-in policy (vouchsafe policy show). Try it: vouchsafe policy check DIR. The
# server reads it again on SIGHUP; what does not pass the gate changes nothing.
# dir = "policies"
# Or a bundle in one file (vouchsafe policy bundle), signed, from a file or a server of bundles as OPA has them. The newest
# revision that passes the gate is kept, and none before it is taken again. It is looked for every poll_secs, or the server
# waits long_poll_secs for a newer one. When nobody could look for max_age_secs (0 is no limit), everything is denied.
#   [policy.bundle]
#   url = "https://bundles.example.org/policy.tar.gz"
#   keys = [{ id = "policy", file = "policy.key.pub" }]
#   token_file = "bundles.token"
#   ca_file = "bundles-ca.pem"
#   client_certificate_file = "bundles.crt"
#   client_key_file = "bundles.key"
#   poll_secs = 60
#   long_poll_secs = 0
#   max_age_secs = 86400
# Rules that OPA's clients may ask about besides data.vouchsafe.decision: "data.authz.allow" is POST /v1/data/authz/allow.
# entry_points = []
# Paths below which operators may write data: "bans" is PUT /v1/data/bans. Nobody signs it, no test sees it, a restart
# forgets it.
# danger_writable_data = []
# One in so many decisions is made once more, after its answer, by the evaluator that follows the language to the letter;
# 0 is none. At the first difference that one decides from then on.
# compare_one_in = 1000
# A folder with a policy on trial: it makes every decision once more, after its answer, and answers nobody. Where it decides
# otherwise is counted (policy_shadow_decisions_total) and logged. It is read when the server starts.
# shadow = "next-policies"

# Enforcement points that have a key (vouchsafe point keygen), or pass on what they know of others: the user, device or
# application that a request comes from, the HTTP request itself. Without an entry, a point with a certificate is believed
# in that at /v1/decision and nowhere else; with one, in what `forwards` names.
#   [[points]]
#   name = "edge-1"
#   key_sha256 = "…"
#   forwards = ["user", "device", "application", "http"]
#   understands = ["step_up"]     # obligations that it meets

[model]
# A file of the trust model's parameters in place of the built-in ones.
# file = "model.toml"

[images]
# Public keys (PEM) for golden images: with any, only images that one of these signed are imported.
# keys = []

[store]
# The SQLite file.
# file = "vouchsafe.db"
# For how many days attestations with the trust history are kept; 0 is for ever.
# attestation_days = 365
# What devices measured since they booted is kept, so that `image dry-run` and `image capture` can look at it. How much that
# may take, compressed and of all devices, in MiB; lists that do not fit any more are not kept.
# ima_lists_mib = 8192

[decision_log]
# The folder of the decision log. Verify it: vouchsafe log verify decisions --key log.pub
# dir = "decisions"
# A file of it is ended before it is larger than so many MiB, and when it was begun so many hours ago.
# segment_mib = 64
# segment_hours = 24
# The oldest files are removed while all are larger than so many MiB, and when all in one is older than so many days; 0 is
# never.
# keep_mib = 16384
# keep_days = 90
# How long after a decision the log is signed again.
# checkpoint_secs = 1
# How long a decision may wait to be on record. One that waits longer is not answered, which means deny.
# max_wait_ms = 2000
# Decisions on standard output, too: one JSON object a line.
# stdout = false
# Decisions posted to another system, too, in the form of OPA's decision logs: https, or http on this machine.
#   [decision_log.http]
#   url = "https://logs.example.org/logs"
#   token_file = "logs.token"
#   ca_file = "logs-ca.pem"
#   labels = { app = "vouchsafe" }

[log]
# "text" for people, "json" for programs.
# format = "text"
# What is logged, such as "info" or "info,vouchsafe_trust_engine=debug".
# level = "info"
"#;
