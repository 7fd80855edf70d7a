package vouchsafe_test

import data.vouchsafe

asked(score, authenticated_at, factors) := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": {"id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "state": "active", "score": score},
	"user": {"id": "ada", "roles": [], "authenticated_at": authenticated_at, "factors": factors},
	"application": null,
	"network": null,
	"request": {"action": "read", "resource": "wiki:home", "http": null, "access": null},
}

lately := "2026-01-31T11:30:00.000Z"

allowed(obligations) := {"allow": true, "reasons": [], "obligations": obligations, "needs": {"score": 50}}

step_up := [{
	"code": "step_up",
	"parameters": {"factor": "have", "max_age_secs": 300},
	"message": "The user has to prove themselves once more.",
}]

codes(answer) := [reason.code | some reason in answer.reasons]

test_where_all_is_well_there_is_no_condition if {
	vouchsafe.decision == allowed([]) with input as asked(75, lately, ["know"])
	vouchsafe.decision == allowed([]) with input as asked(100, "2026-01-31T11:00:00.000Z", [])
}

test_between_the_scores_the_user_steps_up if {
	every score in [50, 60, 74.99] {
		vouchsafe.decision == allowed(step_up) with input as asked(score, lately, ["know"])
		vouchsafe.decision == allowed([]) with input as asked(score, lately, ["know", "have"])
	}
}

test_an_old_authentication_is_renewed if {
	every at in ["2026-01-31T10:59:59.999Z", "2025-01-31T12:00:00.000Z", "2026-01-31T12:01:00.001Z", "soon", null] {
		vouchsafe.decision == allowed(step_up) with input as asked(99, at, ["know", "have"])
	}
	vouchsafe.decision == allowed([]) with input as asked(99, "2026-01-31T12:01:00.000Z", [])
}

test_below_the_least_nothing_helps if {
	answer := vouchsafe.decision with input as asked(49.99, lately, ["know", "have"])
	not answer.allow
	codes(answer) == ["device.score_too_low"]
	answer.needs == {"score": 50}
}

test_device_and_user_are_needed if {
	good := asked(99, lately, [])
	nothing := vouchsafe.decision with input as object.union(good, {"device": null})
	codes(nothing) == ["device.not_active"]
	nobody := vouchsafe.decision with input as object.union(good, {"user": null})
	codes(nobody) == ["user.unknown"]
	not vouchsafe.decision.allow with input as asked("99", lately, [])
}

test_every_deny_says_why_and_what_to_do if {
	every request in [{}, {"device": null}, {"device": {"state": "active", "score": "99"}, "user": {"id": "ada"}}] {
		answer := vouchsafe.decision with input as request
		not answer.allow
		count(answer.reasons) > 0
		every reason in answer.reasons {
			reason.fix != ""
		}
	}
}
