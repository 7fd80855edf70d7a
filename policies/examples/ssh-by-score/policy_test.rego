package vouchsafe_test

import data.vouchsafe

login(role, score, action, host) := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": {"id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "state": "active", "score": score},
	"user": {"id": "ada", "roles": [role], "authenticated_at": null, "factors": []},
	"application": null,
	"network": null,
	"request": {"action": action, "resource": concat("", ["ssh:", host]), "http": null, "access": null},
}

codes(answer) := [reason.code | some reason in answer.reasons]

test_each_host_needs_its_score if {
	every case in [["ops", 60, "connect", "mail"], ["developer", 50, "connect", "web-1"], ["dba", 70, "connect", "db-1"]] {
		answer := vouchsafe.decision with input as login(case[0], case[1], case[2], case[3])
		answer == {"allow": true, "reasons": [], "obligations": [], "needs": {"score": case[1]}}
		below := vouchsafe.decision with input as login(case[0], case[1] - 0.01, case[2], case[3])
		not below.allow
		codes(below) == ["device.score_too_low"]
		below.needs == {"score": case[1]}
	}
}

test_root_needs_more if {
	vouchsafe.decision.allow with input as login("ops", 80, "root", "web-1")
	answer := vouchsafe.decision with input as login("ops", 79.96, "root", "web-1")
	answer.reasons[0].message == "The device's trust score is 79.9, and 'root' of ssh:web-1 needs 80."
}

test_the_longest_name_decides_alone if {
	answer := vouchsafe.decision with input as login("ops", 99, "connect", "db-1")
	codes(answer) == ["user.role_missing"]
	answer.reasons[0].message == "ada has none of the roles that may log in to ssh:db-1: dba."
}

test_what_has_no_score_is_for_nobody if {
	answer := vouchsafe.decision with input as login("ops", 100, "root", "mail")
	codes(answer) == ["request.action_not_listed"]
	answer.needs == {}
	not vouchsafe.decision.allow with input as object.union(login("ops", 100, "connect", "mail"), {"request": {"resource": "db:mail"}})
}

test_user_and_device_are_needed if {
	good := login("ops", 99, "connect", "mail")
	nobody := vouchsafe.decision with input as object.union(good, {"user": null})
	codes(nobody) == ["user.unknown"]
	nothing := vouchsafe.decision with input as object.union(good, {"device": null})
	codes(nothing) == ["device.not_active"]
	revoked := vouchsafe.decision with input as object.union(good, {"device": {"state": "revoked"}})
	codes(revoked) == ["device.not_active"]
}

test_text_never_passes_for_a_score if {
	not vouchsafe.decision.allow with input as login("ops", "99", "connect", "mail")
	not vouchsafe.decision.allow with input as login("ops", null, "connect", "mail")
}

test_every_deny_says_why_and_what_to_do if {
	every asked in [{}, {"request": null}, login("ops", "99", "connect", "mail")] {
		answer := vouchsafe.decision with input as asked
		not answer.allow
		count(answer.reasons) > 0
		every reason in answer.reasons {
			reason.fix != ""
		}
	}
}
