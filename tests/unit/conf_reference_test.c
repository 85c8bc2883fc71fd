/* conf_reference: deploy/REFERENCE.md is what the table says, and what it shows as examples is accepted. Also: every block
 * of the documents that claims to be a configuration is one. */
#include "conf_fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

static char page[256 * 1024];

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    static char text[512 * 1024];
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_true(len < sizeof text - 1);
    text[len] = '\0';
    return text;
}

static void make_page(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    conf_reference(fileno(file));
    rewind(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
}

static void the_page_in_the_tree_is_current(void **state)
{
    (void)state;
    make_page();
    if (strcmp(read_whole(NORIA_TREE "/deploy/REFERENCE.md"), page) != 0)
        fail_msg("deploy/REFERENCE.md differs from the table: noria reference > deploy/REFERENCE.md");
}

static void it_lists_what_matters(void **state)
{
    (void)state;
    make_page();
    static const char *const expected[] = {
        "| `size_mib` | a power of two (1 to 4096 MiB) | `64` | no |",
        "| `machines_from` | a file name of at most 4000 bytes | none | yes |",
        "| `dialects` | a list of 1 to 8 values, each one of rest, carousel, streams, endpoints, channels, "
        "ops | "
        "`[carousel]` | no |",
        "| `auth` | one of none, token | `none` | no |",
        "| `max_body_bytes` | a number (128 to 1048576 bytes) | `65536` | yes |",
        "| `soft_kib` | a number (16 to 65536 KiB) | `256` | yes |",
        "| `max_channels` | a number (1 to 1000000 channels) | `100000` | yes |",
        "## bridges[]",
        "| `stream` | a text of 1 to 128 bytes without control characters | required | yes |",
        "## handlers[]",
        "| `command` | a list of 1 to 32 values, each a text of at most 4096 bytes | none | no |",
        "| `socket` | an absolute path of at most 107 bytes | none | no |",
        "## endpoints[]",
        "| `path` | a path (1 to 64 of A-Z a-z 0-9 _ . ~ - / that begin with /; no //, /./ or /../) | "
        "required | no |",
        "## auth.tokens[]",
        "| `sha256` | a SHA-256 (64 hexadecimal digits) | required | yes |",
        "## profiles[].bits[].zero",
        "| `WEBSOCKET_PING_TIMEOUT` | `websocket.ping_timeout_ms` | seconds |",
        "| `WEBSOCKET_MAX_CONNECTIONS` | `websocket.max_connections` | connections |",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (strstr(page, expected[i]) == NULL)
            fail_msg("the page lacks: %s", expected[i]);
}

/* --- examples in documents ---------------------------------------------------------------------------------------- */

static unsigned examples;

/* All that can be said against an example with machines_from. */
static bool lacks_only_another_file(void)
{
    const char *end = strchr(conf_told, '\n');
    return strstr(conf_told, "machines_from: no other file is read here\n") != NULL && end != NULL &&
           end[1] == '\0';
}

/* A fenced block with a top-level line `listeners:`, `machines:` or `profiles:` claims to be a configuration; one that
 * begins with `{` and names plc_machines, a file of machines. */
static void check_block(const char *file, unsigned line, const char *block)
{
    static const char *const marks[] = {"\nlisteners:", "\nmachines:", "\nprofiles:",        "\nauth:",
                                        "\nbridges:",   "\nstreams:",  "\nmachine_defaults:"};
    bool json = block[1] == '{' && strstr(block, "\"plc_machines\"") != NULL, yaml = false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        yaml |= strstr(block, marks[i]) != NULL;
    struct conf *conf;
    if (!json && !yaml)
        return;
    examples++;
    if (conf_from(json ? "example.json" : "example.yaml", block, &conf) != ERR_OK &&
        !lacks_only_another_file())
        fail_msg("%s:%u: the example is refused: %s", file, line, conf_told);
    conf_free(&conf);
}

static void check_document(const char *path)
{
    char *text = read_whole(path), *at = text;
    unsigned line = 1;
    for (char *open; (open = strstr(at, "\n```")) != NULL;) {
        for (char *p = at; p <= open; p++)
            line += *p == '\n';
        char *body = strchr(open + 4, '\n'), *close = body != NULL ? strstr(body, "\n```") : NULL;
        if (close == NULL)
            return;
        *close = '\0';
        check_block(path, line, body); /* begins with the line break */
        for (char *p = open + 1; p < close; p++)
            line += *p == '\n';
        at = close + 4;
        line++;
    }
}

static void walk(const char *directory)
{
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[1024];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, "build", 5) == 0 ||
            strcmp(entry->d_name, "node_modules") == 0 || lstat(path, &info) != 0)
            continue;
        size_t len = strlen(entry->d_name);
        if (S_ISDIR(info.st_mode))
            walk(path);
        else if (len > 3 && strcmp(entry->d_name + len - 3, ".md") == 0)
            check_document(path);
    }
    closedir(dir);
}

static void examples_in_documents_are_accepted(void **state)
{
    (void)state;
    examples = 0;
    walk(NORIA_TREE);
    print_message("%u examples\n", examples);
    assert_true(examples >= 3); /* the reference page alone has as many */
}

static void the_demonstration_is_accepted(void **state)
{
    (void)state;
    char *text = read_whole(NORIA_TREE "/deploy/conf/demo.yaml");
    struct conf *conf = conf_good("demo.yaml", text);
    assert_int_equal(conf->machine_count, 2);
    assert_int_equal(conf->bridge_count, 2);
    assert_int_equal(conf->endpoint_count, 2);
    assert_int_equal(conf->warning_count, 0);
    conf_free(&conf);
    conf_told[0] = '\0';
    if (conf_load(NORIA_TREE "/deploy/conf/demo.yaml", conf_collect, NULL, &conf) != ERR_OK)
        fail_msg("%s", conf_told);
    assert_int_equal(conf->unreadable_count, 0);
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_in_the_tree_is_current),
        cmocka_unit_test(it_lists_what_matters),
        cmocka_unit_test(examples_in_documents_are_accepted),
        cmocka_unit_test(the_demonstration_is_accepted),
    };
    return cmocka_run_group_tests_name("conf_reference", tests, NULL, NULL);
}
