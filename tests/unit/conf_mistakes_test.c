/* conf: what people mistype, and what they are told: FILE:LINE: KEY: what was found, what was expected, and where it can
 * be guessed, what they meant. Each message was read and found good before it was put here; change them with that care. */
#include "conf_fixture.h"

static const struct {
    const char *text, *told; /* told: without the file's name */
} mistakes[] = {
    {"listeners:\n"
     "\t- name: a\n",
     "2: is not YAML: found character that cannot start any token while scanning for the next token; "
     "a tab stands there, expected spaces\n"},
    {"listeners:\n"
     "  - name: a\n"
     "    port 8765\n",
     "3: is not YAML: could not find expected ':' while scanning a simple key; is a colon missing "
     "behind a key?\n"},
    {"machines:\n"
     "  machine_1:\n"
     "    ip: 10.0.0.1\n",
     "1: machines: a mapping found, expected a list of at most 65536 entries, each beginning with \"- "
     "\"\n"},
    {"machines:\n"
     "  - id: m\n"
     "    ip: plc1.example.com\n",
     "3: machines[0].ip: plc1.example.com is not a numeric IPv4 or IPv6 address; names are not "
     "looked up\n"},
    {"machines:\n"
     "  - id: m\n"
     "    ip: 192.168.1.50:3200\n",
     "3: machines[0].ip: 192.168.1.50:3200 is not a numeric IPv4 or IPv6 address; the port is a key "
     "of its own\n"},
    {"listeners:\n"
     "  - {name: a, address: ::1}\n",
     "2: is not YAML: did not find expected node content while parsing a flow node; a value that "
     "begins with : needs quotes\n"},
    {"listeners: - name: a\n",
     "1: is not YAML: block sequence entries are not allowed in this context; a list begins on a "
     "line of its own\n"},
    {"machine_defaults:\n"
     "  poll_interval_ms: 250ms\n"
     "  stale_after_ms: 3.0\n"
     "  reply_timeout_ms: 1_000\n"
     "  connect_timeout_ms: 0x10\n",
     "5: machine_defaults.connect_timeout_ms: 0x10 is not a number (1 to 600000 ms); write digits "
     "only, in ms\n"
     "4: machine_defaults.reply_timeout_ms: 1_000 is not a number (1 to 600000 ms); write digits "
     "only, in ms\n"
     "2: machine_defaults.poll_interval_ms: 250ms is not a number (1 to 600000 ms); write digits "
     "only, in ms\n"
     "3: machine_defaults.stale_after_ms: 3.0 is not a number (1 to 3600000 ms); write digits only, "
     "in ms\n"},
    {"runtime_dir: ~/noria\n", "1: runtime_dir: ~/noria is not an absolute path of at most 80 bytes\n"},
    {"machine:\n"
     "  - {id: a, ip: 10.0.0.1}\n"
     "websockets:\n"
     "  max_connection: 5\n",
     "1: machine: is an unknown key, did you mean machines?\n"
     "3: websockets: is an unknown key, did you mean websocket?\n"},
    {"poll_interval_ms: 100\n"
     "ping_interval_ms: 5\n"
     "auto_subscribe: true\n"
     "port: 8765\n",
     "1: poll_interval_ms: is an unknown key here, did you mean machine_defaults.poll_interval_ms?\n"
     "2: ping_interval_ms: is an unknown key here, did you mean websocket.ping_interval_ms?\n"
     "3: auto_subscribe: is an unknown key here, did you mean carousel.auto_subscribe?\n"
     "4: port: is an unknown key here, did you mean listeners[].port?\n"},
    {"auth: token\n",
     "1: auth: a single value found, expected a mapping of keys to values, such as {tokens: …}\n"},
    {"listeners:\n"
     "  - name: a\n"
     "   port: 8765\n",
     "3: is not YAML: did not find expected '-' indicator while parsing a block collection; is the "
     "line indented like the keys that it belongs to?\n"},
    {"listeners:\n"
     "  - name: \"a\n"
     "    port: 8765\n",
     "2: is not YAML: found unexpected end of stream while scanning a quoted scalar; is a quote "
     "missing?\n"},
    {"{\"plc_machines\": [{\"id\": \"a\", \"ip\": \"10.0.0.1\", \"port\": 3200}]}\n",
     "1: plc_machines: is an unknown key; a file of machines is named by machines_from, or has a "
     "name that ends in .json\n"},
    {"websocket:\n"
     "  max_connections: unlimited\n",
     "2: websocket.max_connections: unlimited is not a number (0 to 1000000)\n"},
    {"log: {level: warning}\n",
     "1: log.level: warning is not one of error, warn, info, debug; did you mean warn?\n"},
    {"log: debug\n",
     "1: log: a single value found, expected a mapping of keys to values, such as {level: …}\n"},
    {"machines:\n"
     "  - id: m\n"
     "    port: 3200\n",
     "2: machines[0]: the key ip is missing, expected a numeric IPv4 or IPv6 address\n"},
    {"machines:\n"
     "  - id: Máquina 1\n"
     "    ip: 10.0.0.1\n",
     "2: machines[0].id: Máquina 1 is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"},
    {"machines:\n"
     "  - {id: m, ip: 10.0.0.1, simulator: {port: 3300}}\n",
     "2: machines[0].simulator: a mapping found, expected true or false\n"},
    {"listeners:\n"
     "  - {name: a, dialect: carousel, host: 0.0.0.0}\n",
     "2: listeners[0].dialect: is an unknown key, did you mean dialects?\n"
     "2: listeners[0].host: is an unknown key; addresses are called address (listeners) and ip "
     "(machines)\n"},
    {"listeners:\n"
     "  - {name: a, auth: {token: abc}}\n",
     "2: listeners[0].auth: a mapping found, expected one of none, token\n"},
    {"listeners:\n"
     "  - {name: a, tls: true}\n",
     "2: listeners[0].tls: is an unknown key; TLS is a proxy's business\n"},
    {"machines:\n"
     "  - {id: m, ip: 10.0.0.1, poll_interval: 100}\n",
     "2: machines[0].poll_interval: is an unknown key, did you mean poll_interval_ms?\n"},
    {"machines:\n"
     "  - {id: m, ip: 10.0.0.1, poll_interval_ms: 5000}\n",
     "2: machines[0].poll_interval_ms: poll_interval_ms 5000 is not below stale_after_ms 3000\n"},
    {"workers: 4\n"
     "ring: 128\n",
     "1: workers: a single value found, expected a mapping of keys to values, such as {count: …}\n"
     "2: ring: a single value found, expected a mapping of keys to values, such as {size_mib: …}\n"},
    {"ring: {size_mib: 100}\n", "1: ring.size_mib: 100 is not a power of two (1 to 4096 MiB)\n"},
    {"machines:\n"
     "  - id: m\n"
     "    ip: 10.0.0.1\n"
     "    id: n\n",
     "4: machines[0].id: stands here a second time\n"},
    {"machines:\n"
     "- id: m\n"
     "  ip: \"10.0.0.1\n",
     "3: is not YAML: found unexpected end of stream while scanning a quoted scalar; is a quote "
     "missing?\n"},
    {"machines: machines.json\n",
     "1: machines: a single value found, expected a list of at most 65536 entries\n"},
    {"# nothing\n", "found no settings, expected a mapping of keys to values\n"},
    {"listeners:\n"
     "  - {name: web page, port: 80000}\n",
     "2: listeners[0].name: web page is not a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
     "2: listeners[0].port: 80000 is not a port (0 to 65535)\n"},
    {"machines:\n"
     "  - {id: m, ip: 10.0.0.1 port: 3200}\n",
     "2: is not YAML: did not find expected ',' or '}' while parsing a flow mapping; is a comma "
     "missing?\n"},
    {"profiles:\n"
     "  standard:\n"
     "    bits: []\n",
     "1: profiles: a mapping found, expected a list of at most 64 entries, each beginning with \"- \"\n"},
    {"profiles:\n"
     "  - name: x\n"
     "    bits:\n"
     "      0: {key: RUN}\n",
     "3: profiles[0].bits: a mapping found, expected a list of 1 to 8 entries, each beginning with "
     "\"- \"\n"},
    {"carousel: {auto_subscribe: 1}\n", "1: carousel.auto_subscribe: 1 is not true or false\n"},
    {"bridges:\n"
     "  - {from: status, to: hall}\n",
     "2: bridges[0].to: is an unknown key\n"
     "2: bridges[0].from: status is not one of states, results, events; did you mean states?\n"
     "2: bridges[0]: the key stream is missing, expected a text of 1 to 128 bytes without control "
     "characters\n"},
    {"bridges:\n"
     "  states: hall\n",
     "1: bridges: a mapping found, expected a list of at most 16384 entries, each beginning with \"- \"\n"},
    {"bridge:\n"
     "  - {from: states, stream: hall}\n",
     "1: bridge: is an unknown key, did you mean bridges?\n"},
    {"machines:\n"
     "  - {id: carousel_1, ip: 10.0.0.1}\n"
     "  - {id: carousel_2, ip: 10.0.0.2}\n"
     "bridges:\n"
     "  - from: states\n"
     "    streams: [hall, wms]\n"
     "    machines: [carousel1]\n",
     "6: bridges[0].streams: is an unknown key, did you mean stream?\n"
     "5: bridges[0]: the key stream is missing, expected a text of 1 to 128 bytes without control "
     "characters\n"},
    {"machines:\n"
     "  - {id: carousel_1, ip: 10.0.0.1}\n"
     "  - {id: carousel_2, ip: 10.0.0.2}\n"
     "bridges:\n"
     "  - from: states\n"
     "    stream: hall\n"
     "    machines:\n"
     "      - carousel1\n",
     "8: bridges[0].machines[0]: there is no machine carousel1, did you mean carousel_1?\n"},
    {"listeners:\n"
     "  - {name: a, dialects: [stream]}\n"
     "stream: {echo: true}\n"
     "max_channels: 5\n",
     "3: stream: is an unknown key, did you mean streams?\n"
     "4: max_channels: is an unknown key here, did you mean streams.max_channels?\n"
     "2: listeners[0].dialects[0]: stream is not one of rest, carousel, streams, endpoints, channels, ops; "
     "did "
     "you mean "
     "streams?\n"},
    {"%YAML 1.2\n"
     "---\n"
     "log: {level: info}\n",
     "1: uses a YAML directive (%), which is not supported\n"},
    {"listeners:\n"
     "  - {name: a, dialects: [endpoint]}\n"
     "  - {name: b, port: 1, endpoints: [/chat]}\n",
     "3: listeners[1].endpoints: is an unknown key; endpoints are the file's own key, for every listener "
     "that has endpoints among "
     "its dialects\n"
     "2: listeners[0].dialects[0]: endpoint is not one of rest, carousel, streams, endpoints, channels, ops; "
     "did "
     "you mean "
     "endpoints?\n"},
    {"handler:\n"
     "  - {name: chat, command: [x]}\n"
     "endpoints:\n"
     "  - {path: /a, handlers: chat, reply: b.json, deadline_ms: 100}\n",
     "1: handler: is an unknown key, did you mean handlers?\n"
     "4: endpoints[0].handlers: is an unknown key, did you mean handler?\n"
     "4: endpoints[0].reply: is an unknown key, did you mean reply_schema?\n"
     "4: endpoints[0].deadline_ms: is an unknown key here, did you mean handlers[].deadline_ms?\n"
     "4: endpoints[0]: the key handler is missing, expected a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"},
    {"handlers:\n"
     "  - {name: chat, command: noria-chat --verbose}\n"
     "endpoints:\n"
     "  - /chat\n",
     "2: handlers[0].command: a single value found, expected a list of 1 to 32 values, such as [one, two]\n"
     "4: endpoints[0]: a single value found, expected a mapping of keys to values, such as {path: …}\n"},
    {"handlers:\n"
     "  chat: {command: [noria-chat]}\n",
     "1: handlers: a mapping found, expected a list of at most 64 entries, each beginning with \"- \"\n"},
};

static const char *without_name(const char *file)
{
    static char shown[sizeof conf_told];
    size_t name = strlen(file), len = 0;
    for (const char *line = conf_told; *line != '\0';) {
        const char *end = strchr(line, '\n') + 1;
        assert_memory_equal(line, file, name);
        line += name + 1; /* the name, a colon */
        line += *line == ' ';
        memcpy(shown + len, line, (size_t)(end - line));
        len += (size_t)(end - line);
        line = end;
    }
    shown[len] = '\0';
    return shown;
}

static void every_mistake_gets_a_good_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct conf *conf;
        if (conf_from("noria.yaml", mistakes[i].text, &conf) == ERR_OK)
            fail_msg("accepted: %s", mistakes[i].text);
        assert_string_equal(without_name("noria.yaml"), mistakes[i].told);
    }
}

/* What other YAML readers take, too. */
static void what_is_no_mistake(void **state)
{
    (void)state;
    struct conf *conf =
        conf_good("noria.yaml", "listeners:\r\n  - name: a\r\n    address: ::1\r\n    port: \"8765\"\r\n"
                                "carousel: {auto_subscribe: True}\r\n");
    assert_string_equal(conf->listeners[0].address, "::1");
    assert_int_equal(conf->listeners[0].port, 8765);
    assert_true(conf->carousel_auto_subscribe);
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_gets_a_good_message),
        cmocka_unit_test(what_is_no_mistake),
    };
    return cmocka_run_group_tests_name("conf_mistakes", tests, NULL, NULL);
}
