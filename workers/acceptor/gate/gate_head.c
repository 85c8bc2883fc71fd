/* The judge's frame: request line, header table, message framing, and the order of the steps. The steps for
 * upgrades, Origin and tokens stand in their own files. */
#include "gate_head.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gate_judge.h"
#include "must.h"

bool judge_refuse(struct judge *judge, unsigned status, const char *reason)
{
    judge->verdict = (struct gate_verdict){status, reason};
    return false;
}

static bool is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool judge_is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_tchar(text[i]))
            return false;
    return len > 0;
}

bool judge_same(const char *text, size_t len, const char *lower_case_word)
{
    return len == strlen(lower_case_word) && strncasecmp(text, lower_case_word, len) == 0;
}

bool judge_single(struct judge *judge, const char *name, const char *reason, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < judge->request->header_count; i++) {
        if (strcmp(judge->request->headers[i].name, name) != 0)
            continue;
        if (*value != NULL)
            return judge_refuse(judge, 400, reason);
        *value = judge->request->headers[i].value;
    }
    return true;
}

/* The next piece of list->at up to a comma, trimmed. */
static size_t take_element(struct judge_list *list, const char **element)
{
    const char *start = list->at + strspn(list->at, " \t"), *end = strchr(start, ',');
    list->at = end ? end + 1 : NULL;
    if (end == NULL)
        end = start + strlen(start);
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *element = start;
    return (size_t)(end - start);
}

bool judge_next_element(const struct gate_request *request, struct judge_list *list, const char **element,
                        size_t *len)
{
    for (;;) {
        while (list->at == NULL) {
            if (list->header == request->header_count)
                return false;
            const struct gate_header *header = &request->headers[list->header++];
            if (strcmp(header->name, list->name) == 0)
                list->at = header->value;
        }
        *len = take_element(list, element);
        if (*len > 0)
            return true;
    }
}

/* --- the head's lines --------------------------------------------------------------------------------------------- */

/* The next line, ended by NUL where its CR was; *at moves behind its LF. */
static char *next_line(char **at)
{
    char *line = *at, *cr = rawmemchr(line, '\r'); /* a whole head: every line has one */
    MUST(cr != NULL);
    *cr = '\0';
    *at = cr + 2;
    return line;
}

static bool split_request_line(char *line, char **target, char **version)
{
    char *first = strchr(line, ' ');
    if (first == NULL)
        return false;
    char *second = strchr(first + 1, ' ');
    if (second == NULL || strchr(second + 1, ' ') != NULL)
        return false;
    *first = *second = '\0';
    *target = first + 1;
    *version = second + 1;
    return true;
}

static bool judge_version(struct judge *judge, const char *version)
{
    if (strcmp(version, "HTTP/1.1") == 0)
        return true;
    bool well_formed = strlen(version) == 8 && strncmp(version, "HTTP/", 5) == 0 && version[5] >= '0' &&
                       version[5] <= '9' && version[6] == '.' && version[7] >= '0' && version[7] <= '9';
    return well_formed ? judge_refuse(judge, 505, "only HTTP/1.1 is spoken here")
                       : judge_refuse(judge, 400, "the request line does not end with HTTP/1.1");
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool target_is_good(const char *target)
{
    for (const char *c = target; *c != '\0'; c++) {
        if (strchr("\"<>\\#", *c) != NULL)
            return false;
        if (*c == '%' && (!is_hex(c[1]) || !is_hex(c[2]) || (c[1] == '0' && c[2] == '0')))
            return false;
    }
    return true;
}

static bool judge_request_line(struct judge *judge, char *line)
{
    char *target, *version;
    if (!split_request_line(line, &target, &version))
        return judge_refuse(judge, 400, "the request line is not METHOD /path HTTP/1.1");
    if (!judge_is_token(line, strlen(line)))
        return judge_refuse(judge, 400, "the method is not a word");
    if (!judge_version(judge, version))
        return false;
    if (target[0] != '/')
        return judge_refuse(judge, 400, "the request target does not begin with /");
    if (!target_is_good(target))
        return judge_refuse(judge, 400, "a character or %XX in the request target that may not stand there");
    char *question = strchr(target, '?');
    if (question != NULL)
        *question = '\0';
    judge->request->method = line;
    judge->request->path = target;
    judge->request->query = question ? question + 1 : "";
    return true;
}

static void lower_case(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + ('a' - 'A'));
}

static bool judge_header_line(struct judge *judge, char *line)
{
    struct gate_request *request = judge->request;
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return judge_refuse(judge, 400, "a header line without a colon");
    size_t name_len = (size_t)(colon - line);
    if (!judge_is_token(line, name_len))
        return judge_refuse(judge, 400, "a header name that is not a word, or a space before the colon");
    lower_case(line, name_len);
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t"), *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    MUST(request->header_count < GATE_HEADERS_MAX);
    request->headers[request->header_count++] = (struct gate_header){line, value};
    return true;
}

static bool judge_lines(struct judge *judge, char *head)
{
    char *at = head;
    if (!judge_request_line(judge, next_line(&at)))
        return false;
    for (char *line = next_line(&at); *line != '\0'; line = next_line(&at))
        if (!judge_header_line(judge, line))
            return false;
    return true;
}

/* --- framing, method and path ----------------------------------------------------------------------------------- */

static bool judge_content_length(struct judge *judge, const char *value)
{
    uint64_t length = 0;
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 18 || value[digits] != '\0')
        return judge_refuse(judge, 400, "Content-Length is not a number");
    for (size_t i = 0; i < digits; i++)
        length = length * 10 + (uint64_t)(value[i] - '0');
    judge->request->content_length = length;
    return true;
}

static bool judge_framing(struct judge *judge)
{
    const char *value;
    if (gate_request_header(judge->request, "transfer-encoding") != NULL)
        return judge_refuse(judge, 400, "Transfer-Encoding is not accepted");
    if (!judge_single(judge, "content-length", "more than one Content-Length", &value))
        return false;
    return value == NULL || judge_content_length(judge, value);
}

static bool judge_method(struct judge *judge)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    size_t allowed = judge->rules->plain_http ? ARRAY_LEN(known) : 1;
    for (size_t i = 0; i < allowed; i++)
        if (strcmp(judge->request->method, known[i]) == 0)
            return true;
    return judge_refuse(judge, 405, "the method is not allowed here");
}

/* Who serves plain requests knows its own paths, and answers 404 and 405 in its own words. */
static bool judge_path(struct judge *judge)
{
    const struct gate_rules *rules = judge->rules;
    if (rules->plain_http && !judge->request->upgrade)
        return true;
    if (rules->path_known != NULL && !rules->path_known(rules->arg, judge->request->path))
        return judge_refuse(judge, 404, "there is nothing at this path");
    return true;
}

static bool judge_plain(struct judge *judge)
{
    if (!judge->rules->plain_http)
        return judge_refuse(judge, 426, "only WebSocket is spoken here: Upgrade: websocket is missing");
    if (judge->request->content_length > judge->rules->max_body_bytes)
        return judge_refuse(judge, 413, "the body is larger than allowed");
    return judge_plain_origin(judge);
}

static bool judge_all(struct judge *judge, char *head)
{
    if (!judge_lines(judge, head) || !judge_host(judge) || !judge_framing(judge) || !judge_method(judge) ||
        !judge_upgrade_wanted(judge) || !judge_path(judge))
        return false;
    if (!(judge->request->upgrade ? judge_upgrade(judge) && judge_origin(judge) : judge_plain(judge)))
        return false;
    return judge_protocols(judge) && judge_tokens(judge);
}

struct gate_verdict gate_head_judge(char *head, size_t len, const struct gate_rules *rules,
                                    struct gate_request *request)
{
    MUST(len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0);
    memset(request, 0, sizeof *request);
    struct judge judge = {.rules = rules, .request = request};
    judge_all(&judge, head);
    return judge.verdict;
}

/* --- what the users of a request ask ---------------------------------------------------------------------------- */

const char *gate_request_header(const struct gate_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

bool gate_request_param(const struct gate_request *request, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *at = request->query; *at != '\0';) {
        size_t len = strcspn(at, "&");
        if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=') {
            size_t value_len = len - name_len - 1;
            if (value_len >= size)
                return false;
            memcpy(out, at + name_len + 1, value_len);
            out[value_len] = '\0';
            return true;
        }
        at += len + (at[len] == '&');
    }
    return false;
}

void gate_request_log_target(const struct gate_request *request, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", request->path, request->query[0] ? "?" : "", request->query);
}

const char *gate_status_text(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}
