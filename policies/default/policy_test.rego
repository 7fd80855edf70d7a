# Tests of the default policy: vouchsafe policy test policies/default
package vouchsafe_test

import data.vouchsafe

# A request that has everything. Each test takes something away.
good := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": {
		"id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf",
		"state": "active",
		"endorsement": "vendor",
		"enrolled_at": "2026-01-01T12:00:00.000Z",
		"image": "web-server@2026.1",
		"certificate_expires_at": "2026-02-01T12:00:00.000Z",
		"score": 81.25,
		"factors": [{"name": "freshness", "value": 0.9, "weight": 1, "points_lost": 18.75}],
		"vetoes": [],
		"verdict": {
			"status": "affirming",
			"appraised_at": "2026-01-31T11:59:00.000Z",
			"age_secs": 60,
			"findings": [],
		},
		"claims": {
			"hostname": "web-1",
			"os": "Debian GNU/Linux 12 (bookworm)",
			"kernel": "6.1.0-42-amd64",
			"architecture": "x86_64",
			"tpm_manufacturer": "IBM",
			"agent_version": "0.1.0",
		},
	},
	"user": {"id": "alice", "roles": ["ops"], "authenticated_at": "2026-01-31T11:00:00.000Z", "factors": ["know", "have"]},
	"application": {"id": "psql", "version": "16.3"},
	"network": {"source_ip": "192.0.2.1", "authenticated": true, "encrypted": true},
	"request": {"action": "read", "resource": "db:orders"},
}

# The good request with other facts about the device.
device(facts) := object.union(good, {"device": facts})

verdict(facts) := device({"verdict": facts})

network(facts) := object.union(good, {"network": facts})

codes(answer) := [reason.code | some reason in answer.reasons]

messages(answer) := [reason.message | some reason in answer.reasons]

# ---- Allowed --------------------------------------------------------------------------------------------------------

test_a_good_request_passes if {
	vouchsafe.decision == {"allow": true, "reasons": [], "obligations": [], "needs": {"score": 60}} with input as good
}

test_a_warning_passes if {
	vouchsafe.decision.allow with input as verdict({
		"status": "warning",
		"findings": [{"code": "image.retired", "pcr": null, "failure": false}],
	})
}

test_user_and_application_may_be_unknown if {
	vouchsafe.decision.allow with input as object.union(good, {"user": null, "application": null})
}

test_a_pinned_endorsement_passes if {
	vouchsafe.decision.allow with input as device({"endorsement": "pinned"})
}

test_evidence_of_just_the_greatest_age_passes if {
	vouchsafe.decision.allow with input as verdict({"age_secs": 900})
}

test_a_score_of_just_the_least_points_passes if {
	vouchsafe.decision.allow with input as device({"score": 60})
}

# ---- Denied, with the reason ----------------------------------------------------------------------------------------

test_an_unknown_device_is_denied if {
	answer := vouchsafe.decision with input as object.union(good, {"device": null})
	not answer.allow
	codes(answer) == ["device.unknown"]
}

test_a_revoked_device_is_denied if {
	answer := vouchsafe.decision with input as device({"state": "revoked", "score": 0, "vetoes": ["revoked"]})
	not answer.allow
	codes(answer) == ["device.not_active", "device.score_too_low"]
	"The device is revoked." in messages(answer)
}

test_an_expired_certificate_is_denied if {
	answer := vouchsafe.decision with input as device({"score": 0, "vetoes": ["certificate_expired"]})
	not answer.allow
	codes(answer) == ["device.certificate_expired", "device.score_too_low"]
	answer.reasons[1].fix == concat("", [
		"Let the device attest without fault until its score has grown,",
		" and lift what holds it down: certificate_expired.",
	])
}

test_a_device_that_never_attested_is_denied if {
	answer := vouchsafe.decision with input as device({"score": 0, "vetoes": ["never_attested"], "verdict": null})
	not answer.allow
	codes(answer) == ["device.never_attested", "device.score_too_low"]
}

test_a_changed_pcr_is_denied_by_its_number if {
	answer := vouchsafe.decision with input as verdict({
		"status": "contraindicated",
		"findings": [{"code": "pcr.mismatch", "pcr": 14, "failure": true}],
	})
	not answer.allow
	codes(answer) == ["device.pcr_mismatch"]
	messages(answer) == ["PCR 14 does not have the value of the golden image."]
}

test_changed_pcrs_are_denied_by_their_numbers if {
	answer := vouchsafe.decision with input as verdict({
		"status": "contraindicated",
		"findings": [
			{"code": "pcr.mismatch", "pcr": 4, "failure": true},
			{"code": "pcr.mismatch", "pcr": 14, "failure": true},
			{"code": "tpm.clock_went_back", "pcr": null, "failure": true},
			{"code": "pcr.weak_bank", "pcr": null, "failure": false},
		],
	})
	not answer.allow
	codes(answer) == ["device.contraindicated", "device.pcr_mismatch"]
	messages(answer) == [
		"The device's last evidence contradicts what is expected: tpm.clock_went_back.",
		"PCRs 4, 14 do not have the value of the golden image.",
	]
}

test_a_contradiction_that_names_nothing_is_denied if {
	answer := vouchsafe.decision with input as verdict({"status": "contraindicated", "findings": []})
	not answer.allow
	codes(answer) == ["input.incomplete"]
}

test_old_evidence_is_denied_with_its_age if {
	answer := vouchsafe.decision with input as verdict({"age_secs": 901})
	not answer.allow
	codes(answer) == ["device.evidence_too_old"]
	messages(answer) == ["The device's last evidence is 901 s old, and may be 900 s old."]
}

test_an_answer_says_which_score_is_needed_whatever_it_is if {
	every points in [0, 59.99, 60, 100] {
		vouchsafe.decision.needs == {"score": 60} with input as device({"score": points})
	}
	vouchsafe.decision.needs == {"score": 80} with input as object.union(good, {"request": {"resource": "admin:users"}})
	vouchsafe.decision.needs == {"score": 60} with input as {}
}

test_figures_that_are_none_need_nothing_and_allow_nothing if {
	every figure in ["60", null, {}] {
		answer := vouchsafe.decision with input as good with data.thresholds.minimum_score as figure
		not answer.allow
		answer.needs == {}
	}
}

test_a_low_score_is_denied_with_its_figures if {
	answer := vouchsafe.decision with input as device({"score": 59.99})
	not answer.allow
	codes(answer) == ["device.score_too_low"]
	messages(answer) == ["The device's trust score is 59.9, and db:orders needs 60."]
	answer.reasons[0].fix == "Let the device attest without fault until its score has grown."
}

test_an_unvouched_tpm_is_denied if {
	answer := vouchsafe.decision with input as device({"endorsement": "none"})
	not answer.allow
	codes(answer) == ["device.endorsement_too_weak"]
}

test_an_undescribed_flow_is_denied if {
	answer := vouchsafe.decision with input as object.union(good, {"network": null})
	not answer.allow
	codes(answer) == ["network.unknown"]
}

test_an_unprotected_flow_is_denied if {
	answer := vouchsafe.decision with input as network({"authenticated": false, "encrypted": false})
	not answer.allow
	codes(answer) == ["network.not_authenticated", "network.not_encrypted"]
}

# ---- Resources that need more ---------------------------------------------------------------------------------------

thresholds := {
	"minimum_score": 60,
	"minimum_score_by_prefix": {"db:": 70, "db:orders": 90, "ssh:": 95},
	"maximum_evidence_age_secs": 900,
	"minimum_endorsement": "pinned",
}

asks(resource) := object.union(good, {"request": {"resource": resource}})

test_the_longest_prefix_decides if {
	answer := vouchsafe.decision with input as asks("db:orders") with data.thresholds as thresholds
	not answer.allow
	messages(answer) == ["The device's trust score is 81.2, and db:orders needs 90."]
	vouchsafe.decision.allow with input as asks("db:invoices") with data.thresholds as thresholds
	vouchsafe.decision.allow with input as asks("https://wiki.example.org/") with data.thresholds as thresholds
}

# ---- Flows ----------------------------------------------------------------------------------------------------------

flow(action, resource) := object.union(good, {"request": {"action": action, "resource": resource}})

test_what_is_not_listed_is_denied if {
	answer := vouchsafe.decision with input as flow("drop", "db:orders")
	not answer.allow
	codes(answer) == ["request.flow_not_listed"]
	messages(answer) == ["'drop' of db:orders is not one of the flows that there are meant to be."]
	codes(vouchsafe.decision) == ["request.flow_not_listed"] with input as flow("read", "wiki")
}

test_a_star_lists_every_action if {
	vouchsafe.decision.allow with input as flow("PATCH", "https://wiki.example.org/")
	not vouchsafe.decision.allow with input as flow("*", "db:orders")
}

test_without_a_list_nothing_passes if {
	every none in [{}, [], null, {"read": []}, {"read": null}, {"read": {}}, {"read": [1]}, {"db:": ["read"]}, {"*": null}] {
		not vouchsafe.decision.allow with input as good with data.flows as none
	}
}

# ---- What is no question at all -------------------------------------------------------------------------------------

test_nothing_is_denied if {
	answer := vouchsafe.decision with input as {}
	not answer.allow
	codes(answer) == ["input.incomplete"]
}

test_text_where_a_number_belongs_is_denied if {
	not vouchsafe.decision.allow with input as device({"score": "99"})
	not vouchsafe.decision.allow with input as verdict({"age_secs": "1"})
	not vouchsafe.decision.allow with input as network({"authenticated": "true"})
	not vouchsafe.decision.allow with input as network({"encrypted": 1})
}

test_whatever_is_taken_away_is_denied if {
	every field in ["state", "endorsement", "score", "verdict", "vetoes"] {
		not vouchsafe.decision.allow with input as object.union(
			object.remove(good, ["device"]),
			{"device": object.remove(good.device, [field])},
		)
	}
	every field in ["device", "network", "request"] {
		not vouchsafe.decision.allow with input as object.remove(good, [field])
	}
	not vouchsafe.decision.allow with input as good with data.thresholds as {}
	not vouchsafe.decision.allow with input as device({"vetoes": null})
}
