/* The public API's table against the bus's: what a path names, its message must require. */

#include "path.h"
#include "route.h"
#include "test.h"

static const struct wire_msg *message_of(const struct route *r)
{
	return r->subject == SUBJ_COUNT ? NULL : subjects[r->subject].in;
}

/* Every {parameter} of every route is a required field of the message it is sent as. */
static void every_path_parameter_is_a_required_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct wire_msg *m = message_of(&routes[i]);

		for (const char *at = strchr(routes[i].path, '{'); at; at = strchr(at + 1, '{')) {
			const struct wire_field *f;
			char name[64];

			assert_non_null(m);
			assert_non_null(strchr(at, '}'));
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + 1, "*}"), at + 1);
			f = wire_field_find(m, name);
			if (!f || !(f->flags & WIRE_REQUIRED) || f->type != WIRE_STRING)
				fail_msg("%s %s: %s has no required text '%s'", routes[i].method,
				         routes[i].path, m->name, name);
		}
	}
}

/* One without a body cannot fill a field that is not in its path; nor may one that is required be
 * missing from a request which has everything that it can have. */
static void a_query_has_only_plain_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct wire_msg *m = message_of(&routes[i]);

		if (!m || routes[i].input != INPUT_QUERY)
			continue;
		for (size_t k = 0; k < m->field_count; k++) {
			const struct wire_field *f = &m->fields[k];

			assert_true(f->type == WIRE_STRING || f->type == WIRE_INT ||
			            f->type == WIRE_BOOL);
			/* It would stand in access logs and histories. */
			assert_false(f->flags & WIRE_SECRET);
		}
	}
}

/* An entity tag is a text of the answer; what must fit it, of the request that changes something. */
static void a_tag_is_a_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *r = &routes[i];
		const struct wire_field *f;

		assert_in_range(r->body_max, r->local ? 0 : 1024, 4 << 20);
		if (!r->tag)
			continue;
		f = wire_field_find(subjects[r->subject].out, r->tag);
		assert_true(!r->tag[0] || (f && f->type == WIRE_STRING));
		f = wire_field_find(message_of(r), "if_match");
		assert_int_equal(f != NULL, strcmp(r->method, "GET") != 0);
		assert_false(f && (f->type != WIRE_STRING || f->flags & WIRE_REQUIRED));
	}
}

/* A {rest*} would also take what stands for another row: that one comes first. */
static void a_rest_leaves_longer_patterns_their_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const char *rest = strstr(routes[i].path, "*}");
		char path[256];
		size_t k = 0;

		if (!rest)
			continue;
		snprintf(path, sizeof(path), "%s", routes[i].path);
		while (!path_fits(routes[k].path, path))
			k++;
		if (strcmp(routes[k].path, path) != 0)
			fail_msg("%s is taken by %s", path, routes[k].path);
	}
}

static void each_route_is_there_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++)
		for (size_t k = 0; k < i; k++)
			assert_false(strcmp(routes[i].method, routes[k].method) == 0 &&
			             strcmp(routes[i].path, routes[k].path) == 0);
}

/* People come in through the gateway alone: every rpc but those of its own has a route, and no
 * route leads to what services ask each other. */
static void routes_and_rpc_subjects_match(void **state)
{
	static const enum subject_id own[] = { SUBJ_REALTIME_SUBSCRIBE, SUBJ_REALTIME_RELEASE };

	(void)state;
	for (int s = 0; s < SUBJ_COUNT; s++) {
		bool is_rpc = strncmp(subjects[s].name, "zaki.rpc.", 9) == 0, has_route = false;

		for (size_t i = 0; i < route_count; i++)
			has_route |= (int)routes[i].subject == s;
		for (size_t i = 0; i < COUNT(own); i++)
			has_route |= (int)own[i] == s;
		if (is_rpc != has_route)
			fail_msg("%s: %s", subjects[s].name, is_rpc ? "no route" : "has a route");
	}
}

static void what_acts_is_sent_as_a_body(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		bool is_once =
			message_of(&routes[i]) && subjects[routes[i].subject].kind == SUBJECT_ONCE;

		assert_in_range(routes[i].success, 200, 204);
		assert_false(is_once && strcmp(routes[i].method, "POST") != 0);
	}
}

/* What is about the account itself, and who may act for it, is not for API keys: such a route has to
 * say so, and one that reads who one is may be for all. */
static void keys_do_not_reach_the_account(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *r = &routes[i];
		bool is_account =
			strncmp(r->path, "/auth/", 6) == 0 || strncmp(r->path, "/users/", 7) == 0;

		if (is_account && r->needs == NEEDS_USER &&
		    !(strcmp(r->method, "GET") == 0 && strcmp(r->path, "/users/me") == 0))
			fail_msg("%s %s is open to API keys", r->method, r->path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_path_parameter_is_a_required_field),
		cmocka_unit_test(a_query_has_only_plain_fields),
		cmocka_unit_test(a_tag_is_a_field),
		cmocka_unit_test(a_rest_leaves_longer_patterns_their_paths),
		cmocka_unit_test(each_route_is_there_once),
		cmocka_unit_test(routes_and_rpc_subjects_match),
		cmocka_unit_test(what_acts_is_sent_as_a_body),
		cmocka_unit_test(keys_do_not_reach_the_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
