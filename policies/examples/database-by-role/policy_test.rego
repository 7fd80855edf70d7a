package vouchsafe_test

import data.vouchsafe

asked(roles, action, database, address) := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": {"id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "state": "active", "score": 81.25},
	"user": {"id": "ada", "roles": roles, "authenticated_at": null, "factors": []},
	"application": {"id": "psql", "version": "16.3"},
	"network": {"source_ip": address, "authenticated": true, "encrypted": true},
	"request": {"action": action, "resource": concat("", ["db:", database]), "http": null, "access": null},
}

codes(answer) := [reason.code | some reason in answer.reasons]

test_a_role_does_what_it_may_where_it_counts if {
	every case in [
		["analyst", "read", "sales", "10.1.200.7"],
		["analyst", "read", "sales", "2001:db8:1::7"],
		["clerk", "write", "orders", "10.1.4.7"],
		["dba", "alter", "orders", "10.9.0.3"],
	] {
		answer := vouchsafe.decision with input as asked([case[0]], case[1], case[2], case[3])
		answer == {"allow": true, "reasons": [], "obligations": [], "needs": {"score": 60}}
	}
}

test_a_role_does_nothing_else if {
	every case in [["analyst", "write", "sales"], ["analyst", "read", "orders"], ["clerk", "alter", "orders"], ["boss", "read", "sales"]] {
		answer := vouchsafe.decision with input as asked([case[0]], case[1], case[2], "10.1.4.7")
		not answer.allow
		codes(answer) == ["user.role_missing"]
	}
}

test_a_role_counts_nowhere_else if {
	answer := vouchsafe.decision with input as asked(["dba"], "alter", "orders", "10.9.0.16")
	codes(answer) == ["network.role_does_not_count_here"]
	answer.reasons[0].message == "The role that may alter db:orders does not count at 10.9.0.16."
	answer.reasons[0].fix == "Ask from one of these networks: 10.9.0.0/28."
	unknown := vouchsafe.decision with input as asked(["dba"], "alter", "orders", null)
	codes(unknown) == ["network.role_does_not_count_here"]
}

test_what_one_role_may_and_where_another_counts_do_not_add_up if {
	not vouchsafe.decision.allow with input as asked(["analyst", "dba"], "alter", "sales", "10.1.200.7")
	vouchsafe.decision.allow with input as asked(["analyst", "dba"], "read", "sales", "10.1.200.7")
}

test_device_user_and_encryption_are_needed if {
	good := asked(["clerk"], "read", "orders", "10.1.4.7")
	nothing := vouchsafe.decision with input as object.union(good, {"device": null})
	codes(nothing) == ["device.not_active"]
	nobody := vouchsafe.decision with input as object.union(good, {"user": null})
	codes(nobody) == ["user.unknown"]
	plain := vouchsafe.decision with input as object.union(good, {"network": {"encrypted": false}})
	codes(plain) == ["network.not_encrypted"]
	low := vouchsafe.decision with input as object.union(good, {"device": {"score": 59.99}})
	codes(low) == ["device.score_too_low"]
	not vouchsafe.decision.allow with input as object.union(good, {"device": {"score": "99"}})
}

test_every_deny_says_why_and_what_to_do if {
	every request in [{}, {"request": null}, {"network": {"source_ip": "no address"}}] {
		answer := vouchsafe.decision with input as request
		not answer.allow
		count(answer.reasons) > 0
		every reason in answer.reasons {
			reason.fix != ""
		}
	}
}
