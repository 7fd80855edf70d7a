package vouchsafe_test

import data.vouchsafe

asked(subject, action, resource) := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": null,
	"user": {"id": subject.id, "roles": [], "authenticated_at": null, "factors": []},
	"application": null,
	"network": null,
	"request": {
		"action": action.name,
		"resource": concat(":", [resource.type, resource.id]),
		"http": null,
		"access": {"subject": subject, "action": action, "resource": resource, "context": {}},
	},
}

user(id, properties) := {"type": "user", "id": id, "properties": properties}

record(id, properties) := {"type": "record", "id": id, "properties": properties}

named(name) := {"name": name, "properties": {}}

delete(soft) := {"name": "delete", "properties": {"soft": soft}}

test_whoever_is_known_reads if {
	every id in ["alice", "bob"] {
		vouchsafe.decision.allow with input as asked(user(id, {}), named("read"), record("record-1", {}))
	}
}

test_strangers_read_nothing if {
	not vouchsafe.decision.allow with input as asked(user("mallory", {}), named("read"), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("alice", {}), named("read"), record("record-9", {}))
	not vouchsafe.decision.allow with input as asked({"type": "robot", "id": "alice", "properties": {}}, named("read"), record("record-1", {}))
}

test_editors_write_what_is_not_archived if {
	vouchsafe.decision.allow with input as asked(user("alice", {}), named("write"), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("alice", {}), named("write"), record("record-2", {"status": "archived"}))
	not vouchsafe.decision.allow with input as asked(user("bob", {}), named("write"), record("record-1", {}))
}

test_administrators_write_what_is_archived if {
	vouchsafe.decision.allow with input as asked(user("bob", {"role": "admin"}), named("write"), record("record-2", {"status": "archived"}))
	not vouchsafe.decision.allow with input as asked(user("bob", {"role": "admin"}), named("write"), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("bob", {"role": true}), named("write"), record("record-2", {"status": "archived"}))
}

test_what_is_deleted_can_be_brought_back if {
	vouchsafe.decision.allow with input as asked(user("alice", {}), delete(true), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("alice", {}), delete(false), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("alice", {}), named("delete"), record("record-1", {}))
	not vouchsafe.decision.allow with input as asked(user("alice", {}), delete("true"), record("record-1", {}))
}

test_a_deny_says_who_may_not_do_what if {
	decision := vouchsafe.decision with input as asked(user("bob", {}), named("write"), record("record-1", {}))
	decision.reasons[0].message == "bob may not write record:record-1."
}

test_a_question_in_other_terms_is_denied if {
	question := asked(user("alice", {}), named("read"), record("record-1", {}))
	plain := object.union(question, {"request": {"access": null}})
	decision := vouchsafe.decision with input as plain
	decision.allow == false
	decision.reasons[0].code == "access.not_asked"
}
