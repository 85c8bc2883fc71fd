/* conf: handlers and endpoints: who answers which path, and what is told of those that nobody answers or reaches. */
#include "conf_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch_dir.h"

#define FRONT    "listeners: [{name: a, dialects: [rest, endpoints]}]\n"
#define HANDLER  "handlers: [{name: h, command: [x]}]\n"
#define ENDPOINT "endpoints: [{path: /e, handler: h}]\n"

static void they_are_read(void **state)
{
    (void)state;
    struct conf *conf =
        conf_good("/etc/noria/c.yaml", FRONT
                  "handlers:\n"
                  "  - {name: chat, command: [noria-chat], processes: 2, deadline_ms: 1000, stuck_ms: 1000}\n"
                  "  - {name: far, socket: /run/far.sock}\n"
                  "  - name: own\n"
                  "    command: [bin/own, --say, \"a b\\tc\\n\", '', \"-x\"]\n"
                  "endpoints:\n"
                  "  - {path: /chat, handler: chat, schema: in.json, reply_schema: /s/out.json, binary: yes,"
                  " error_object: true}\n"
                  "  - {path: /, handler: far}\n"
                  "  - {path: /a/b.c_D~9-/, handler: own, schema: ../x.json}\n");
    assert_string_equal(conf->directory, "/etc/noria/");
    assert_int_equal(conf->handler_count, 3);
    const struct conf_handler *h = conf->handlers;
    assert_string_equal(h[0].name, "chat");
    assert_string_equal(h[0].command[0], "noria-chat");
    assert_null(h[0].command[1]);
    assert_int_equal(h[0].command_count, 1);
    assert_string_equal(h[0].socket, "");
    assert_int_equal(h[0].processes, 2);
    assert_int_equal(h[0].deadline_ms, 1000);
    assert_int_equal(h[0].stuck_ms, 1000);
    assert_null(h[1].command);
    assert_int_equal(h[1].command_count, 0);
    assert_string_equal(h[1].socket, "/run/far.sock");
    assert_int_equal(h[1].processes, 1);
    assert_int_equal(h[1].deadline_ms, 5000);
    assert_int_equal(h[1].stuck_ms, 30000);
    assert_int_equal(h[2].command_count, 5);
    assert_string_equal(h[2].command[0], "/etc/noria/bin/own");
    assert_string_equal(h[2].command[2], "a b\tc\n");
    assert_string_equal(h[2].command[3], "");
    assert_string_equal(h[2].command[4], "-x");
    assert_null(h[2].command[5]);
    assert_int_equal(conf->endpoint_count, 3);
    const struct conf_endpoint *e = conf->endpoints;
    assert_string_equal(e[0].path, "/chat");
    assert_string_equal(e[0].handler_name, "chat");
    assert_int_equal(e[0].handler, 0);
    assert_string_equal(e[0].schema, "/etc/noria/in.json");
    assert_string_equal(e[0].reply_schema, "/s/out.json");
    assert_true(e[0].binary && e[0].error_object);
    assert_int_equal(e[1].handler, 1);
    assert_string_equal(e[1].schema, "");
    assert_string_equal(e[1].reply_schema, "");
    assert_false(e[1].binary || e[1].error_object);
    assert_string_equal(e[2].path, "/a/b.c_D~9-/");
    assert_int_equal(e[2].handler, 2);
    assert_string_equal(e[2].schema, "/etc/noria/../x.json");
    assert_int_equal(conf->warning_count, 1); /* no machines */
    conf_free(&conf);
}

static void sockets_of_processes(void **state)
{
    (void)state;
    char path[CONF_PATH_MAX];
    struct conf *conf = conf_good("c.yaml", "runtime_dir: /run/n\n"
                                            "handlers:\n"
                                            "  - {name: a.b, command: [x], processes: 16}\n"
                                            "  - {name: far, socket: /far.sock}\n");
    conf_handler_socket(conf, &conf->handlers[0], 0, path);
    assert_string_equal(path, "/run/n/handlers/a.b.0");
    conf_handler_socket(conf, &conf->handlers[0], 15, path);
    assert_string_equal(path, "/run/n/handlers/a.b.15");
    conf_handler_socket(conf, &conf->handlers[1], 0, path);
    assert_string_equal(path, "/far.sock");
    conf_free(&conf);
}

/* 107 bytes are a Unix socket's name; one more is refused, and told with its number. */
static void sockets_whose_name_is_too_long(void **state)
{
    (void)state;
    static const char fmt[] = "runtime_dir: /%078d\nhandlers:\n  - {name: %s, command: [x], processes: %d}\n";
    char text[400], path[CONF_PATH_MAX];
    snprintf(text, sizeof text, fmt, 0, "seventeen-letter", 10);
    struct conf *conf = conf_good("c.yaml", text);
    conf_handler_socket(conf, &conf->handlers[0], 9, path);
    assert_int_equal(strlen(path), CONF_PATH_MAX - 1);
    conf_free(&conf);
    snprintf(text, sizeof text, fmt, 0, "seventeen-letter", 11);
    assert_int_equal(conf_from("c.yaml", text, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "c.yaml:3: handlers[0].name: its socket /000"));
    assert_non_null(strstr(conf_told,
                           "/handlers/seventeen-letter.10 has 108 bytes, and a Unix socket's name at "
                           "most 107: shorten runtime_dir or the name\n"));
    snprintf(text, sizeof text, "handlers: [{name: a, socket: /%0107d}]\n", 0);
    assert_int_equal(conf_from("c.yaml", text, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "… is not an absolute path of at most 107 bytes\n"));
}

static void wrong_handlers(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml",
        "handlers:\n"
        "  - {name: a, command: [x], socket: /s}\n"
        "  - {name: b}\n"
        "  - {name: a, command: [x]}\n"
        "  - {name: d, socket: /s, processes: 1}\n"
        "  - {name: e, command: ['', x]}\n"
        "  - {name: f, command: [x], deadline_ms: 40000}\n"
        "  - {name: g, command: [x], stuck_ms: 4999}\n"
        "  - {command: [x], processes: 17}\n"
        "  - {name: ../x, socket: run/x.sock}\n",
        "c.yaml:2: handlers[0].socket: stands beside command, expected one of them: command is started here, "
        "a socket is of a process that somebody else starts\n"
        "c.yaml:3: handlers[1]: one of the keys command and socket is missing: who answers?\n"
        "c.yaml:4: handlers[2].name: a is the name of handlers[0] too\n"
        "c.yaml:5: handlers[3].processes: stands beside socket, at which there is one process\n"
        "c.yaml:6: handlers[4].command[0]: is empty, expected a program\n"
        "c.yaml:7: handlers[5].deadline_ms: deadline_ms 40000 is above stuck_ms 30000\n"
        "c.yaml:8: handlers[6].stuck_ms: deadline_ms 5000 is above stuck_ms 4999\n"
        "c.yaml:9: handlers[7]: the key name is missing, expected a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
        "c.yaml:9: handlers[7].processes: 17 is not a number (1 to 16 processes)\n"
        "c.yaml:10: handlers[8].name: ../x is not a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
        "c.yaml:10: handlers[8].socket: run/x.sock is not an absolute path of at most 107 bytes\n");
    conf_refuses("c.yaml",
                 "handlers:\n"
                 "  - {name: a, command: noria-chat}\n"
                 "  - {name: b, command: []}\n"
                 "  - {name: c, command: [x, [y]]}\n"
                 "  - {name: d, comand: [x]}\n"
                 "  - {name: e, command: [x], workers: 2}\n",
                 "c.yaml:2: handlers[0].command: a single value found, expected a list of 1 to 32 values, "
                 "such as [one, two]\n"
                 "c.yaml:3: handlers[1].command: an empty list found, expected a list of 1 to 32 values\n"
                 "c.yaml:4: handlers[2].command[1]: a list found, expected a text of at most 4096 bytes\n"
                 "c.yaml:5: handlers[3].comand: is an unknown key, did you mean command?\n"
                 "c.yaml:6: handlers[4].workers: is an unknown key\n");
}

static void wrong_endpoints(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml",
        FRONT "handlers: [{name: chat, command: [x]}, {name: orders, command: [y]}]\n"
              "endpoints:\n"
              "  - {path: /a, handler: chatt}\n"
              "  - {path: /a, handler: chat}\n"
              "  - {path: /c, handler: nobody}\n"
              "  - {handler: chat}\n"
              "  - {path: /e}\n"
              "  - {path: /f, handler: chat, reply_schema: r.json}\n"
              "  - {path: /g, handler: chat, binary: true}\n"
              "  - {path: /h, handler: chat, error_object: true}\n"
              "  - {path: /i, handler: chat, schema: }\n"
              "  - {path: /j, handler: chat, binary: false, error_object: false}\n",
        "c.yaml:4: endpoints[0].handler: there is no handler chatt, did you mean chat?\n"
        "c.yaml:5: endpoints[1].path: /a is the path of endpoints[0] too\n"
        "c.yaml:6: endpoints[2].handler: there is no handler nobody\n"
        "c.yaml:7: endpoints[3]: the key path is missing, expected a path (1 to 64 of A-Z a-z 0-9 _ . ~ - / "
        "that begin with /; no //, /./ or /../)\n"
        "c.yaml:8: endpoints[4]: the key handler is missing, expected a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
        "c.yaml:9: endpoints[5].reply_schema: stands here without schema: replies of a traditional endpoint "
        "are sent as they are\n"
        "c.yaml:10: endpoints[6].binary: stands here without schema: each reply of a traditional endpoint is "
        "text or binary as its handler says\n"
        "c.yaml:11: endpoints[7].error_object: stands here without schema: nothing is validated\n"
        "c.yaml:12: endpoints[8].schema: nothing found, expected a file name of at most 4000 bytes\n");
    conf_refuses("c.yaml", "endpoints: [{path: /a, handler: chat}]\n",
                 "c.yaml:1: endpoints[0].handler: there is no handler chat\n");
}

static void shapes_of_paths(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/a", "/a/", "/a/b", "/...", "/.a", "/a.", "/~x/-_.", "/..a/b"};
    static const char *const bad[] = {"",      "a",       "a/b",      "//",   "/a//b", "/.",
                                      "/..",   "/a/../b", "/a/.",     "/./a", "/a b",  "/a?x",
                                      "/a%20", "/ñ",      "ws://h/a", "/a#b", "/*"};
    char text[300];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, FRONT HANDLER "endpoints: [{path: \"%s\", handler: h}]\n", good[i]);
        struct conf *conf = conf_good("c.yaml", text);
        assert_string_equal(conf->endpoints[0].path, good[i]);
        conf_free(&conf);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct conf *conf;
        snprintf(text, sizeof text, FRONT HANDLER "endpoints: [{path: \"%s\", handler: h}]\n", bad[i]);
        if (conf_from("c.yaml", text, &conf) != ERR_CONFIG)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(conf_told, "c.yaml:3: endpoints[0].path: "));
        assert_non_null(strstr(conf_told, "a path (1 to 64 of "));
    }
    for (int len = 64; len <= 65; len++) {
        struct conf *conf;
        snprintf(text, sizeof text, FRONT HANDLER "endpoints: [{path: /%0*d, handler: h}]\n", len - 1, 0);
        assert_int_equal(conf_from("c.yaml", text, &conf), len == 64 ? ERR_OK : ERR_CONFIG);
        conf_free(&conf);
    }
}

static void warnings(void **state)
{
    (void)state;
    static const char quiet[] = "machines: [{id: m, ip: 10.0.0.1}]\n";
    static const struct {
        const char *text, *told;
    } cases[] = {
        {FRONT HANDLER ENDPOINT, ""},
        {"listeners: [{name: a}]\n" HANDLER ENDPOINT,
         "c.yaml:3: endpoints: nobody can reach them: no listener has endpoints among its dialects\n"},
        {FRONT, "c.yaml:1: listeners[0].dialects: there are no endpoints: every path is refused with 404\n"},
        {FRONT "handlers: [{name: h, command: [x]}, {name: g, socket: /s}]\n" ENDPOINT,
         "c.yaml:2: handlers[1]: no endpoint has the handler g\n"},
        {"listeners:\n"
         "  - {name: a, dialects: [carousel, endpoints]}\n"
         "  - {name: b, port: 1, dialects: [endpoints, carousel]}\n" HANDLER ENDPOINT,
         "c.yaml:2: listeners[0].dialects: endpoints are never reached behind carousel, which serves every "
         "path: put "
         "endpoints first\n"},
        {"listeners:\n"
         "  - {name: a, dialects: [streams, endpoints]}\n"
         "  - {name: b, port: 1, dialects: [endpoints, streams]}\n" HANDLER
         "endpoints: [{path: /, handler: h}, {path: /web, handler: h}]\n",
         "c.yaml:2: listeners[0].dialects: the endpoint / is never reached behind streams, which serves that "
         "path: put "
         "endpoints first\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        snprintf(text, sizeof text, "%s%s", cases[i].text, quiet);
        assert_string_equal(conf_warnings_of("c.yaml", text), cases[i].told);
    }
}

/* As many as there may be, and one more of each. */
static void limits(void **state)
{
    (void)state;
    static char text[512 * 1024];
    struct conf *conf;
    for (int more = 0; more <= 3; more++) {
        int len = sprintf(text, FRONT "handlers:\n");
        for (int i = 0; i < 64 + (more == 1); i++)
            len += sprintf(text + len, "  - {name: h%d, command: [x]}\n", i);
        len += sprintf(text + len, "endpoints:\n");
        for (int i = 0; i < 256 + (more == 2); i++)
            len += sprintf(text + len, "  - {path: /%d, handler: h%d}\n", i, i % 64);
        assert_int_equal(conf_from("c.yaml", text, &conf), more % 3 == 0 ? ERR_OK : ERR_CONFIG);
        if (more == 1)
            assert_string_equal(
                conf_told, "c.yaml:2: handlers: more entries found, expected a list of at most 64 entries\n");
        if (more == 2)
            assert_string_equal(
                conf_told,
                "c.yaml:67: endpoints: more entries found, expected a list of at most 256 entries\n");
        if (conf != NULL)
            assert_int_equal(conf->endpoints[255].handler, 63);
        conf_free(&conf);
    }
}

static void long_commands(void **state)
{
    (void)state;
    static char text[200 * 1024];
    struct conf *conf;
    for (int words = 32; words <= 33; words++) {
        int len = sprintf(text, "handlers:\n  - {name: h, command: [x");
        for (int i = 1; i < words; i++)
            len += sprintf(text + len, ", %04096d", i);
        sprintf(text + len, "]}\n");
        assert_int_equal(conf_from("c.yaml", text, &conf), words == 32 ? ERR_OK : ERR_CONFIG);
        if (conf != NULL)
            assert_int_equal(strlen(conf->handlers[0].command[31]), 4096);
        conf_free(&conf);
    }
    sprintf(text, "handlers:\n  - {name: h, command: [x, %04097d]}\n", 0);
    conf_refuses(
        "c.yaml", text,
        "c.yaml:2: handlers[0].command[1]: 000000000000000000000000000000000000000000000000000000000000… is "
        "not a text of at most 4096 bytes\n");
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static int make_directory(void **state)
{
    (void)state;
    return scratch_make("conf_endpoints");
}

static int remove_directory(void **state)
{
    (void)state;
    static const char *const names[] = {"c.yaml", "s.json", "fifo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(scratch_file(names[i]));
    return scratch_remove();
}

static enum err_e load_named(const char *name, struct conf **conf)
{
    conf_told[0] = '\0';
    return conf_load(name, conf_collect, NULL, conf);
}

/* Read where the configuration is, whatever directory the reader stands in. */
static void files_beside_the_configuration(void **state)
{
    (void)state;
    struct conf *conf;
    char before[4096], expected[8192];
    assert_non_null(getcwd(before, sizeof before));
    scratch_write("s.json", "{}");
    scratch_write("c.yaml",
                  FRONT "handlers: [{name: h, command: [./x]}]\n"
                        "endpoints: [{path: /e, handler: h, schema: s.json, reply_schema: s.json}]\n");
    assert_int_equal(load_named(scratch_file("c.yaml"), &conf), ERR_OK);
    assert_int_equal(conf->unreadable_count, 0);
    assert_string_equal(conf->endpoints[0].schema, scratch_file("s.json"));
    assert_string_equal(conf->endpoints[0].reply_schema, scratch_file("s.json"));
    conf_free(&conf);
    assert_int_equal(chdir(scratch_dir), 0);
    assert_int_equal(load_named("c.yaml", &conf), ERR_OK);
    assert_string_equal(conf->file, "c.yaml");
    assert_string_equal(conf->directory, scratch_file(""));
    assert_string_equal(conf->endpoints[0].schema, scratch_file("s.json"));
    assert_string_equal(conf->handlers[0].command[0], scratch_file("./x"));
    conf_free(&conf);
    snprintf(expected, sizeof expected, "../%s", strrchr(scratch_dir, '/') + 1);
    strcat(expected, "/c.yaml");
    assert_int_equal(load_named(expected, &conf), ERR_OK);
    snprintf(expected, sizeof expected, "%s/../%s/s.json", scratch_dir, strrchr(scratch_dir, '/') + 1);
    assert_string_equal(conf->endpoints[0].schema, expected);
    conf_free(&conf);
    assert_int_equal(chdir(before), 0);
}

/* No error: broker and agents do without. */
static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct conf *conf;
    char expected[1000];
    assert_int_equal(mkfifo(scratch_file("fifo"), 0600), 0);
    scratch_write("c.yaml", FRONT HANDLER "endpoints:\n"
                                          "  - {path: /a, handler: h, schema: none.json}\n"
                                          "  - {path: /b, handler: h, schema: s.json, reply_schema: fifo}\n"
                                          "  - {path: /c, handler: h, schema: .}\n");
    scratch_write("s.json", "{}");
    assert_int_equal(load_named(scratch_file("c.yaml"), &conf), ERR_OK);
    assert_int_equal(conf->unreadable_count, 3);
    for (size_t i = 0; i < 3; i++)
        conf_collect(NULL, conf->unreadable[i]);
    conf_free(&conf);
    snprintf(expected, sizeof expected,
             "%s/c.yaml:4: endpoints[0].schema: %s/none.json cannot be opened: No such file or directory\n"
             "%s/c.yaml:5: endpoints[1].reply_schema: %s/fifo is not a regular file\n"
             "%s/c.yaml:6: endpoints[2].schema: %s/. is not a regular file\n",
             scratch_dir, scratch_dir, scratch_dir, scratch_dir, scratch_dir, scratch_dir);
    assert_string_equal(conf_told, expected);
}

/* A directory that the environment names counts, too. */
static void names_below_the_environments_directory(void **state)
{
    (void)state;
    struct conf *conf;
    char name[100];
    scratch_write("c.yaml",
                  "runtime_dir: /r\nhandlers: [{name: abcdefghijklmnopqrstuvwxyz, command: [x]}]\n");
    assert_int_equal(load_named(scratch_file("c.yaml"), &conf), ERR_OK);
    conf_free(&conf);
    snprintf(name, sizeof name, "/%078d", 0);
    setenv("NORIA_RUNTIME_DIR", name, 1);
    assert_int_equal(load_named(scratch_file("c.yaml"), &conf), ERR_CONFIG);
    unsetenv("NORIA_RUNTIME_DIR");
    assert_non_null(strstr(conf_told, ":2: handlers[0].name: its socket /0000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_read),
        cmocka_unit_test(sockets_of_processes),
        cmocka_unit_test(sockets_whose_name_is_too_long),
        cmocka_unit_test(wrong_handlers),
        cmocka_unit_test(wrong_endpoints),
        cmocka_unit_test(shapes_of_paths),
        cmocka_unit_test(warnings),
        cmocka_unit_test(limits),
        cmocka_unit_test(long_commands),
        cmocka_unit_test(files_beside_the_configuration),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(names_below_the_environments_directory),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
