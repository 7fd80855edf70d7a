package vouchsafe_test

import data.vouchsafe

web := "spiffe://example.org/ns/shop/sa/web"

called(caller, method, host, path) := {
	"now": "2026-01-31T12:00:00.000Z",
	"device": {"id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "state": "active", "score": 81.25},
	"user": null,
	"application": {"id": caller, "version": null},
	"network": {"source_ip": "192.0.2.7", "authenticated": true, "encrypted": true},
	"request": {
		"action": method,
		"resource": concat("", ["https://", host, path]),
		"http": {"method": method, "scheme": "https", "host": host, "path": path},
		"access": null,
	},
}

good := called(web, "GET", "orders.shop.internal", "/v1/orders/7")

codes(answer) := [reason.code | some reason in answer.reasons]

test_a_listed_caller_passes if {
	vouchsafe.decision == {"allow": true, "reasons": [], "obligations": [], "needs": {"score": 50}} with input as good
	vouchsafe.decision.allow with input as called(web, "POST", "orders.shop.internal", "/v1/orders")
	vouchsafe.decision.allow with input as called("spiffe://example.org/ns/shop/sa/orders", "POST", "ledger.shop.internal", "/v1/entries")
}

test_a_call_goes_in_one_direction if {
	answer := vouchsafe.decision with input as called("spiffe://example.org/ns/shop/sa/ledger", "POST", "orders.shop.internal", "/v1/orders")
	not answer.allow
	codes(answer) == ["service.not_a_caller"]
	contains(answer.reasons[0].message, "sa/ledger is no caller of spiffe://example.org/ns/shop/sa/orders")
}

test_another_method_or_path_is_denied if {
	every call in [["DELETE", "/v1/orders/7"], ["POST", "/v1/status"], ["GET", "/v1/orders-old"], ["GET", "/v1"], ["GET", "/"]] {
		answer := vouchsafe.decision with input as called(web, call[0], "orders.shop.internal", call[1])
		not answer.allow
		codes(answer) == ["service.route_not_listed"]
	}
}

test_a_host_that_is_no_service_is_denied if {
	every host in ["orders.shop.internal:8443", "orders.shop.internal.", "evil.example.org", ""] {
		answer := vouchsafe.decision with input as called(web, "GET", host, "/v1/orders")
		codes(answer) == ["service.unknown"]
	}
}

test_a_caller_that_nobody_named_is_denied if {
	answer := vouchsafe.decision with input as object.union(good, {"application": null})
	codes(answer) == ["application.unknown"]
}

test_a_node_that_lost_its_trust_is_denied if {
	answer := vouchsafe.decision with input as object.union(good, {"device": {"score": 49.99}})
	codes(answer) == ["device.score_too_low"]
	answer.reasons[0].message == "The trust score of the node is 49.9, and the mesh needs 50."
	revoked := vouchsafe.decision with input as object.union(good, {"device": {"state": "revoked"}})
	codes(revoked) == ["device.not_active"]
	unknown := vouchsafe.decision with input as object.union(good, {"device": null})
	codes(unknown) == ["device.not_active"]
}

test_a_flow_without_mutual_tls_is_denied if {
	answer := vouchsafe.decision with input as object.union(good, {"network": {"authenticated": false}})
	codes(answer) == ["network.not_protected"]
}

test_text_never_passes_for_a_score if {
	not vouchsafe.decision.allow with input as object.union(good, {"device": {"score": "99"}})
}

test_every_deny_says_why_and_what_to_do if {
	every asked in [{}, {"request": null}, object.union(good, {"request": {"http": null}})] {
		answer := vouchsafe.decision with input as asked
		not answer.allow
		count(answer.reasons) > 0
		every reason in answer.reasons {
			reason.fix != ""
		}
	}
}
