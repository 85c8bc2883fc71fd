/* The dialect's page (workers/acceptor/dialects/validated/README.md) is true: its configuration is one, its schemas compile, and its
 * conversations go as they stand there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text_file.h"
#include "validated_stage_pool.h"

static char *page;
static struct conf *conf;

static void read_page(void)
{
    char path[512], fault[TEXT_FILE_FAULT_MAX];
    const char *here = strstr(__FILE__, "tests/unit/");
    size_t len;
    assert_non_null(here);
    snprintf(path, sizeof path, "%.*sworkers/acceptor/dialects/validated/README.md", (int)(here - __FILE__),
             __FILE__);
    assert_int_equal(text_file_read(path, 1 << 20, &page, &len, fault), ERR_OK);
    page = realloc(page, len + 1);
    assert_non_null(page);
    page[len] = '\0';
}

/* The block behind this line, the caller's to free. */
static char *block_behind(const char *from, const char *fence)
{
    const char *begin = strstr(from, fence);
    assert_non_null(begin);
    begin += strlen(fence);
    const char *end = strstr(begin, "```\n");
    assert_non_null(end);
    char *block = stage_copy(begin, (size_t)(end - begin));
    return block;
}

static void report(void *arg, const char *text)
{
    (void)arg;
    print_error("%s\n", text);
}

static const char *schema_of_page(const char *file)
{
    char fence[64];
    if (file[0] == '\0')
        return "";
    snprintf(fence, sizeof fence, "```json %s\n", strrchr(file, '/') + 1);
    char *block = block_behind(page, fence);
    const char *path = stage_file(block);
    free(block);
    return path;
}

static int setup(void **state)
{
    (void)state;
    read_page();
    char *yaml = block_behind(page, "```yaml\n"), whole[4096];
    int len = snprintf(whole, sizeof whole, "%s%s", yaml,
                       "machines: [{id: machine_1, name: M, ip: 127.0.0.1, simulator: true}]\n");
    assert_int_equal(conf_load_text("/etc/noria/noria.yaml", whole, (size_t)len, report, NULL, &conf),
                     ERR_OK);
    free(yaml);
    stage_prepare();
    stage.conf.endpoint_count = conf->endpoint_count;
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        stage.endpoints[i] = conf->endpoints[i];
        stage.endpoints[i].schema = schema_of_page(conf->endpoints[i].schema);
        stage.endpoints[i].reply_schema = schema_of_page(conf->endpoints[i].reply_schema);
    }
    assert_int_equal(validated_dialect.start(&stage.own), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stage_stop();
    conf_free(&conf);
    free(page);
    return 0;
}

/* --- conversations ------------------------------------------------------------------------------------------------------ */

static const char *behind(const char *line, const char *words)
{
    size_t len = strlen(words);
    if (strncmp(line, words, len) != 0)
        return NULL;
    return line + len + strspn(line + len, " ");
}

/* "200 {…}" or "204" */
static void answer(struct endpoint_conn *conn, const char *text, bool send)
{
    char *body;
    unsigned long status = strtoul(text, &body, 10);
    body += strspn(body, " ");
    if (send)
        stage_send(conn, status, body[0] != '\0' ? body : NULL);
    else
        stage_answer(stage.message_count - 1, status, body[0] != '\0' ? body : NULL);
}

/* False: no line of a conversation. */
static bool line_goes(struct endpoint_conn *conn, const char *line)
{
    const char *text;
    if ((text = behind(line, "client says")) != NULL) {
        stage_say(conn, text);
    } else if ((text = behind(line, "client reads")) != NULL) {
        const char *read = stage_read(conn);
        assert_non_null(read);
        assert_string_equal(read, text);
    } else if ((text = behind(line, "handler gets")) != NULL) {
        assert_string_equal(stage.messages[stage.message_count - 1].json, text);
    } else if ((text = behind(line, "handler answers")) != NULL) {
        answer(conn, text, false);
    } else if ((text = behind(line, "handler sends")) != NULL) {
        answer(conn, text, true);
    } else if (strcmp(line, "handler fails") == 0) {
        stage_outcome(stage.message_count - 1, POOL_FAILED);
    } else if (strcmp(line, "handler is late") == 0) {
        stage_outcome(stage.message_count - 1, POOL_TIMEOUT);
    } else if (strcmp(line, "handler is away") == 0) {
        stage_outcome(stage.message_count - 1, POOL_UNAVAILABLE);
    } else {
        return false;
    }
    return true;
}

static unsigned conversation(char *block)
{
    unsigned lines = 0;
    char *next, *line = strtok_r(block, "\n", &next);
    struct endpoint_conn *conn = stage_connect(line);
    while ((line = strtok_r(NULL, "\n", &next)) != NULL) {
        if (!line_goes(conn, line))
            fail_msg("not understood: %s", line);
        lines++;
    }
    assert_null(stage_read(conn)); /* nothing that the page does not show */
    stage_disconnect(conn);
    return lines;
}

static void conversations_go_as_the_page_says(void **state)
{
    unsigned count = 0, lines = 0;
    (void)state;
    for (const char *at = page; (at = strstr(at, "\n```\n/")) != NULL; at++, count++) {
        char *block = block_behind(at, "```\n");
        lines += conversation(block);
        free(block);
    }
    assert_true(count >= 7);
    assert_true(lines >= 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conversations_go_as_the_page_says, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
