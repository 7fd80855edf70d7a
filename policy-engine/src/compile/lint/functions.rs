//! Functions: which there are, and what to do without those that there are not.

use regorus::unstable::{BUILTINS, Expr, Ref};

use super::super::finding::FindingKind;
use super::super::names::static_path;
use super::super::types::{Here, static_text};
use super::Said;
use super::suggest;

/// Checks what is called, and with what.
pub(super) fn check(said: &mut Said, here: &Here<'_>, function: &Expr, arguments: &[Ref<Expr>]) {
    let steps = static_path(function);
    let program = here.typing.program;
    if here.typing.scope.places(&steps).iter().any(|place| program.is_or_holds_rules(place)) {
        return;
    }
    let name = steps.join(".");
    let span = function.span();
    if !exists(&name) {
        said.always(FindingKind::UnknownBuiltin, span, format!("there is no function {name}"), missing(&name));
    } else if is_nondeterministic(&name) {
        said.warning(
            FindingKind::Nondeterministic,
            span,
            format!("{name} is another value each time, so that the decision cannot be made again"),
            match name.as_str() {
                "time.now_ns" => "time.parse_rfc3339_ns(input.now) is the instant of the question".to_owned(),
                _ => "decide by the input alone".to_owned(),
            },
        );
    }
    if let Some((how, instead)) = differs(&name) {
        said.warning(FindingKind::BuiltinDiffers, span, format!("{name} {how}, other than in OPA"), instead.to_owned());
    }
    if let ("object.get", [object, key, ..]) = (name.as_str(), arguments) {
        asked_field(said, here, object, key);
    }
}

/// Holds the field that `object.get` asks for against what is there.
fn asked_field(said: &mut Said, here: &Here<'_>, object: &Expr, key: &Expr) {
    let path: Vec<&Expr> = match key {
        Expr::Array { items, .. } => items.iter().map(AsRef::as_ref).collect(),
        one => vec![one],
    };
    let mut parent = here.typed(object);
    for step in path {
        let Some(name) = static_text(step) else { return };
        said.field(&parent, &name, step.span());
        match parent.field(&name) {
            Some(field) => parent = field,
            None => return,
        }
    }
}

/// Whether both evaluators know the builtin.
fn exists(name: &str) -> bool {
    name == "print" || (BUILTINS.contains_key(name) && !name.starts_with("__"))
}

/// Whether a builtin has another value each time.
pub(in super::super) fn is_nondeterministic(name: &str) -> bool {
    matches!(name, "time.now_ns" | "rand.intn" | "uuid.rfc4122" | "opa.runtime" | "http.send")
}

/// How a builtin differs from OPA's, as its conformance tests show, and what to do about it.
fn differs(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "strings.replace_n" => ("replaces in what it has replaced as well", "use replace, once for each text"),
        "strings.count" => ("counts texts that overlap", "use count(regex.find_n(text, subject, -1))"),
        "json.match_schema" | "json.verify_schema" => {
            ("words what is wrong otherwise", "look at the first of the two values alone")
        }
        _ => return None,
    })
}

/// What to do without a function.
fn missing(name: &str) -> String {
    let family = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let advice = if family(&["io.jwt.", "crypto.x509.", "crypto.hmac.", "crypto.parse_"]) {
        "credentials are verified before a decision; decide by who was authenticated: input.user, input.network"
    } else if family(&["crypto."]) {
        "policies compute no digests; compare with a value of the data"
    } else if family(&["http.", "net.lookup", "providers."]) {
        "policies ask nobody; put what they need into the data"
    } else if family(&["opa.", "rego."]) {
        "policies do not look at the engine or at themselves"
    } else if family(&["rand."]) {
        "decide by the input alone"
    } else if family(&["yaml."]) {
        "use JSON: json.unmarshal, json.marshal"
    } else if family(&["graphql."]) {
        "let the enforcement point take the query apart"
    } else if name == "net.cidr_merge" || name == "net.cidr_contains_matches" {
        "use net.cidr_contains for each network: some network in networks; net.cidr_contains(network, address)"
    } else {
        let known = BUILTINS.keys().copied().filter(|known| !known.starts_with("__"));
        return match suggest::nearest(name, known) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "define it, or import the package that defines it".to_owned(),
        };
    };
    advice.to_owned()
}
