# The default policy: which requests may pass.
#
# The engine asks for data.vouchsafe.decision, once for every request, and lets the request pass only when its `allow` is
# the boolean true. Copy this file and change it: everything that it may look at is described in input.schema.json, and
# the figures that it compares with are in data.json.
#
# How it is written, and how yours should be:
#   - `allow` needs every condition to hold, each stated positively. What is missing, null or of another type satisfies no
#     condition, so it denies; no list of violations has to foresee it.
#   - `reasons` explain a deny. They decide nothing: a forgotten reason costs an explanation, never an allow. They are not
#     even looked at when the request passes.
#   - Numbers are checked to be numbers before they are compared: in Rego every string is greater than every number.
#   - What is looked at more than once gets a name: a name costs nothing, a path is walked each time. But no name for
#     input.device as a whole: what a policy does not name of it is not even put into the input.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": [], "needs": needs}

default allow := false

allow if {
	# A device that is enrolled and not revoked ...
	input.device.state == "active"

	# ... whose certificate is good ...
	is_array(input.device.vetoes)
	every veto in input.device.vetoes {
		veto != "certificate_expired"
	}

	# ... whose last evidence agreed with its golden image, or lacked something without contradicting it ...
	input.device.verdict.status in {"affirming", "warning"}

	# ... not long ago ...
	age_secs := input.device.verdict.age_secs
	maximum_age_secs := data.thresholds.maximum_evidence_age_secs
	is_number(age_secs)
	is_number(maximum_age_secs)
	age_secs <= maximum_age_secs

	# ... that has earned the trust that the resource needs ...
	score := input.device.score
	least := minimum_score
	is_number(score)
	is_number(least)
	score >= least

	# ... and whose TPM is vouched for ...
	endorsement_rank[input.device.endorsement] >= endorsement_rank[data.thresholds.minimum_endorsement]

	# ... asks over a flow whose ends authenticated each other and that nobody between them can read ...
	network := input.network
	network.authenticated == true
	network.encrypted == true

	# ... for something, by name, that is one of the flows that there are meant to be.
	is_string(input.request.action)
	is_string(input.request.resource)
	flow_is_listed
}

# The figures are in data.json, under "thresholds":
#   minimum_score              the score that a device needs, 0 to 100
#   minimum_score_by_prefix    another score for resources that begin with a text; the longest such text decides
#   maximum_evidence_age_secs  how old a device's last evidence may be
#   minimum_endorsement        who has to vouch for its TPM at least: "none", "pinned" or "vendor"
minimum_score := data.thresholds.minimum_score if {
	not score_is_special
} else := max({points |
	some prefix, points in special_scores
	count(prefix) == max([count(other) | some other, _ in special_scores])
})

score_is_special if {
	strings.any_prefix_match(input.request.resource, object.keys(data.thresholds.minimum_score_by_prefix))
}

special_scores := {prefix: points |
	some prefix, points in data.thresholds.minimum_score_by_prefix
	startswith(input.request.resource, prefix)
}

# What the answer says that the request needs, so that the asker sees what the score lacks and when it will lack something.
default needs := {}

needs := {"score": minimum_score} if is_number(minimum_score)

# The flows that there are meant to be are listed in data.json, under "flows": an action, "*" for any, and what the
# resources begin with that it may be done to. Whatever is not listed is denied, so that nothing is reached that nobody
# thought of.
flow_is_listed if {
	strings.any_prefix_match(input.request.resource, data.flows[input.request.action])
} else if {
	strings.any_prefix_match(input.request.resource, data.flows["*"])
}

# Who vouches for the device's TPM, from nobody to its maker.
endorsement_rank := {"none": 0, "pinned": 1, "vendor": 2}

# ---- Reasons --------------------------------------------------------------------------------------------------------

# What is answered: nothing about an allow, the reasons in the order of their codes about a deny, and never silence about one.
explanation := [] if {
	allow
} else := sort(found) if {
	found := reasons
	count(found) > 0
} else := [{
	"code": "input.incomplete",
	"message": "The question lacks something that the policy needs, and no other reason says what.",
	"fix": "Compare the question with input.schema.json, and the thresholds with those of the default data.json.",
}]

reasons contains {
	"code": "device.unknown",
	"message": "The request names no device that is enrolled here.",
	"fix": "Enrol the device (vouchsafe-agent enrol), and name it in the question.",
} if {
	input.device == null
}

reasons contains {
	"code": "device.not_active",
	"message": sprintf("The device is %v.", [input.device.state]),
	"fix": "Find out why an operator revoked it, and have it restored.",
} if {
	input.device.state != "active"
}

reasons contains {
	"code": "device.certificate_expired",
	"message": sprintf("The device's certificate ended at %v.", [input.device.certificate_expires_at]),
	"fix": "Let its agent renew the certificate (vouchsafe-agent run).",
} if {
	"certificate_expired" in input.device.vetoes
}

reasons contains {
	"code": "device.never_attested",
	"message": "The device has not vouched for itself yet.",
	"fix": "Start its agent (vouchsafe-agent run) and ask again after its first attestation.",
} if {
	input.device.verdict == null
}

reasons contains {
	"code": "device.pcr_mismatch",
	"message": sprintf("%v the value of the golden image.", [mismatch]),
	"fix": "Find out what changed in what is measured there. If the change was meant, capture a new image.",
} if {
	input.device.verdict.status == "contraindicated"
	mismatch
}

mismatch := sprintf("PCR %v does not have", mismatched_pcrs) if count(mismatched_pcrs) == 1

mismatch := sprintf("PCRs %v do not have", [concat(", ", mismatched_pcrs)]) if count(mismatched_pcrs) > 1

mismatched_pcrs := [sprintf("%v", [finding.pcr]) |
	some finding in input.device.verdict.findings
	finding.code == "pcr.mismatch"
]

reasons contains {
	"code": "device.contraindicated",
	"message": sprintf("The device's last evidence contradicts what is expected: %v.", [concat(", ", other_failures)]),
	"fix": "Look at the verdict (vouchsafe device show) and follow its advice.",
} if {
	input.device.verdict.status == "contraindicated"
	count(other_failures) > 0
}

other_failures := {finding.code |
	some finding in input.device.verdict.findings
	finding.failure == true
	finding.code != "pcr.mismatch"
}

reasons contains {
	"code": "device.evidence_too_old",
	"message": sprintf("The device's last evidence is %v s old, and may be %v s old.", [
		input.device.verdict.age_secs,
		data.thresholds.maximum_evidence_age_secs,
	]),
	"fix": "Let its agent attest again (vouchsafe-agent run).",
} if {
	is_number(input.device.verdict.age_secs)
	input.device.verdict.age_secs > data.thresholds.maximum_evidence_age_secs
}

reasons contains {
	"code": "device.score_too_low",
	"message": sprintf("The device's trust score is %v, and %v needs %v.", [
		floor(input.device.score * 10) / 10,
		input.request.resource,
		minimum_score,
	]),
	"fix": concat("", ["Let the device attest without fault until its score has grown", held_down, "."]),
} if {
	is_number(input.device.score)
	input.device.score < minimum_score
}

# What holds the score down, whatever the device does.
held_down := "" if count(input.device.vetoes) == 0

held_down := sprintf(", and lift what holds it down: %v", [concat(", ", input.device.vetoes)]) if {
	count(input.device.vetoes) > 0
}

reasons contains {
	"code": "device.endorsement_too_weak",
	"message": sprintf("The endorsement of the device's TPM is '%v', and has to be '%v' or better.", [
		input.device.endorsement,
		data.thresholds.minimum_endorsement,
	]),
	"fix": "Trust the maker of its TPM, or name its endorsement key in the token that it enrols with (pinned).",
} if {
	endorsement_rank[input.device.endorsement] < endorsement_rank[data.thresholds.minimum_endorsement]
}

reasons contains {
	"code": "network.unknown",
	"message": "The question does not say how the flow is protected, and every flow has to be authenticated.",
	"fix": "State what the enforcement point knows of the flow: network.authenticated and network.encrypted.",
} if {
	input.network == null
}

reasons contains {
	"code": "network.not_authenticated",
	"message": "The two ends of the flow did not authenticate each other.",
	"fix": "Use mutual TLS, or another way in which both ends prove who they are.",
} if {
	input.network.authenticated != true
}

reasons contains {
	"code": "network.not_encrypted",
	"message": "The flow is not encrypted from end to end.",
	"fix": "Use TLS or IPsec from one end to the other.",
} if {
	input.network.encrypted != true
}

reasons contains {
	"code": "request.flow_not_listed",
	"message": sprintf("'%v' of %v is not one of the flows that there are meant to be.", [
		input.request.action,
		input.request.resource,
	]),
	"fix": "If it is meant to be, list it under \"flows\" in the data of the policy.",
} if {
	is_string(input.request.action)
	is_string(input.request.resource)
	not flow_is_listed
}
