/* gate_judge.h — what the judge's files share; private to this module.
 *
 * A step looks at one thing. It returns true to go on, or refuse()s, which ends the judging.
 */
#pragma once

#include "gate_head.h"

struct judge {
    const struct gate_rules *rules;
    struct gate_request *request;
    struct gate_verdict verdict;
};

/* Always false, so that a step can return it. */
bool judge_refuse(struct judge *judge, unsigned status, const char *reason);

/* The only value of a header; *value is NULL if it is absent. Refuses (400, with `reason`) if there are several. */
bool judge_single(struct judge *judge, const char *name, const char *reason, const char **value);

/* The elements of a comma-separated header, over all its lines, without white space around them; empty ones are
 * skipped. Start with {.name = …}. False at the end. */
struct judge_list {
    const char *name;
    size_t header;  /* the next one to look at */
    const char *at; /* the rest of the current one */
};
bool judge_next_element(const struct gate_request *request, struct judge_list *list, const char **element,
                        size_t *len);

bool judge_is_token(const char *text, size_t len); /* RFC 9110 token: one or more tchar */
bool judge_same(const char *text, size_t len, const char *lower_case_word);

/* gate_upgrade.c */
bool judge_upgrade_wanted(struct judge *judge);
bool judge_upgrade(struct judge *judge);

/* gate_origin.c */
bool judge_host(struct judge *judge);
bool judge_origin(struct judge *judge);       /* of an upgrade: refuses strangers */
bool judge_plain_origin(struct judge *judge); /* only notes whether it is allowed */

/* gate_token.c: protocols first, the token may stand among them */
bool judge_protocols(struct judge *judge);
bool judge_tokens(struct judge *judge);
