/* hostile JSON: every corpus of JSON in tests/fuzz/corpus, each file inflated in several ways, through every parser of the house that takes
 * JSON from clients. Bounded memory, and a time per byte that does not grow with the length.
 *
 * All files, all shapes and all parsers at some KiB; then, of each corpus, shape and parser, the costliest file at half a megabyte and
 * at five (sanitizers: a fifth of that). NORIA_HOSTILE=all: all of them at five.
 *
 * What is judged is CPU time of this thread, and only what no busy machine explains: more than LIMIT_NS for a byte, which is what a
 * quadratic cost comes to, or growth by GROWTH from the shorter text to the longer at a cost that is no longer small. */
#include <dirent.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bytes.h"
#include "carousel_message.h"
#include "must.h"
#include "rest_text.h"
#include "schema_json.h"
#include "schema_stage.h"
#include "sensors_schema.h"
#include "streams_message.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 10u
#define LARGE  1000000u
#define SCREEN 4096u
#else
#define SLOWER 1u
#define LARGE  5000000u
#define SCREEN 16384u
#endif
#define MIDDLE     (LARGE / 10)
#define FILE_MAX   4096u /* bytes of a file that are used */
#define LIMIT_NS   (2000.0 * SLOWER)
#define SMALL_NS   (500.0 * SLOWER)
#define GROWTH     6.0
#define TREE_BYTES (300u * SCHEMA_VALUES_MAX) /* of a text's tree, and of what becomes of it */

struct seed {
    char text[FILE_MAX];
    size_t len;
};

/* --- what is allocated ---------------------------------------------------------------------------------------------- */

static size_t alive, peak;

static void *count_in(size_t size)
{
    void *memory = malloc(size);
    alive += malloc_usable_size(memory);
    peak = alive > peak ? alive : peak;
    return memory;
}

static void count_out(void *memory)
{
    alive -= malloc_usable_size(memory);
    free(memory);
}

/* --- shapes --------------------------------------------------------------------------------------------------------- */

/* Appends to out, as long as it has room. */
static void put_seed(struct out *out, const struct seed *seed)
{
    out_bytes(out, seed->text, seed->len);
}

static void fill(struct out *out, const char *open, const struct seed *seed, const char *between)
{
    size_t step = seed->len + strlen(between);
    out_text(out, open);
    while (out->cap - out->len > step + 8) {
        put_seed(out, seed);
        out_text(out, between);
    }
}

static void nested_lists(struct out *out, const struct seed *seed)
{
    fill(out, "[", seed, ",[");
}

static void nested_members(struct out *out, const struct seed *seed)
{
    fill(out, "{\"a\":", seed, ",\"k\":{\"a\":");
}

static void only_brackets(struct out *out, const struct seed *seed)
{
    static const char brackets[] = "[{";
    out_text(out, "{\"type\":\"ping\",\"ws_op\":\"close\",\"k\":");
    for (size_t i = 0; out->cap - out->len > 8; i++) {
        char c = brackets[(unsigned char)seed->text[i % seed->len] & 1];
        out_text(out, c == '[' ? "[" : "{\"k\":");
    }
}

static void repeated(struct out *out, const struct seed *seed)
{
    fill(out, "{\"type\":\"ping\",\"ws_op\":\"close\",\"list\":[", seed, ",");
    out->len--;
    out_text(out, "]}");
}

/* Quotes and backslashes of the seed become escapes. */
static void one_string(struct out *out, const struct seed *seed)
{
    static const char hex[] = "0123456789abcdef";
    out_text(out, "{\"type\":\"get_status\",\"ws_op\":\"send\",\"ws_msg\":\"");
    for (size_t i = 0; out->cap - out->len > 16; i++) {
        unsigned char c = (unsigned char)seed->text[i % seed->len];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            out_char(out, (char)c);
        } else {
            out_text(out, "\\u00");
            out_char(out, hex[c >> 4]);
            out_char(out, hex[c & 15]);
        }
    }
    out_text(out, "\"}");
}

static void many_members(struct out *out, const struct seed *seed)
{
    char name[32];
    out_char(out, '{');
    for (unsigned i = 0; out->cap - out->len > seed->len + 80; i++) {
        snprintf(name, sizeof name, "\"m%u%c\":", i, 'a' + i % 26);
        out_text(out, name);
        put_seed(out, seed);
        out_char(out, ',');
    }
    out_text(out, "\"type\":\"ping\",\"ws_op\":\"close\"}");
}

/* Scalars only, so that nothing but the number of members counts. */
static void small_members(struct out *out, const struct seed *seed)
{
    char member[48];
    out_char(out, '{');
    for (unsigned i = 0; out->cap - out->len > 80; i++) {
        snprintf(member, sizeof member, "\"%x\":%u,", i * 2654435761u,
                 (unsigned char)seed->text[i % seed->len]);
        out_text(out, member);
    }
    out_text(out, "\"type\":\"ping\",\"ws_op\":\"close\"}");
}

static void one_member_again(struct out *out, const struct seed *seed)
{
    fill(out, "{\"type\":", seed, ",\"type\":");
}

static void many_numbers(struct out *out, const struct seed *seed)
{
    static const char *const forms[] = {"%u,", "-%u.%u,", "%ue%u,", "%u.0%ue-3,",
                                        "1%u%u0000000000000000000,"};
    char number[80];
    out_text(out, "{\"type\":\"subscribe\",\"ws_op\":\"close\",\"machine_ids\":[");
    for (size_t i = 0; out->cap - out->len > 90; i++) {
        unsigned a = (unsigned char)seed->text[i % seed->len],
                 b = (unsigned char)seed->text[(i * 7 + 3) % seed->len];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(number, sizeof number, forms[a % ARRAY_LEN(forms)], a, b);
#pragma GCC diagnostic pop
        out_text(out, number);
    }
    out_text(out, "0]}");
}

static void one_number(struct out *out, const struct seed *seed)
{
    out_text(out, "{\"type\":\"ping\",\"ws_op\":\"close\",\"n\":1");
    for (size_t i = 0; out->cap - out->len > 8; i++)
        out_char(out, (char)('0' + (unsigned char)seed->text[i % seed->len] % 10));
    out_char(out, '}');
}

/* The seed itself, with the byte in its middle over and over: its string, its number, its brackets or its space. */
static void swollen(struct out *out, const struct seed *seed)
{
    size_t middle = seed->len / 2;
    out_bytes(out, seed->text, middle);
    while (out->cap - out->len > seed->len)
        out_char(out, seed->text[middle]);
    out_bytes(out, seed->text + middle, seed->len - middle);
}

static const struct {
    const char *name;
    void (*make)(struct out *out, const struct seed *seed);
} shapes[] = {
    {"nested lists", nested_lists},
    {"nested members", nested_members},
    {"only brackets", only_brackets},
    {"repeated", repeated},
    {"one string", one_string},
    {"many members", many_members},
    {"small members", small_members},
    {"one member again", one_member_again},
    {"many numbers", many_numbers},
    {"one number", one_number},
    {"swollen", swollen},
};

/* --- parsers -------------------------------------------------------------------------------------------------------- */

static const char tree_json[] =
    "{\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
    "T\"},{\"type\":"
    "\"null\"}]},\"k\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/T\"}},\"type\":{\"type\":\"string\","
    "\"pattern\":\"^(\\\\w+-?)*$\"},\"ws_msg\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":9},"
    "\"list\":{\"type\":"
    "\"array\",\"items\":{\"type\":\"integer\"}},\"machine_ids\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"number\","
    "\"multipleOf\":0.5}}},\"additionalProperties\":false}},\"$ref\":\"#/$defs/T\"}";
static struct schema *any_schema, *tree_schema;

static void validate(const struct schema *schema, const char *text, size_t len)
{
    struct schema_result result;
    enum err_e err = schema_validate_text(schema, text, len, &result);
    assert_true(err == ERR_OK || err == ERR_MALFORMED);
    json_decref(result.value);
    json_decref(result.errors);
}

static void run_any_schema(const char *text, size_t len)
{
    validate(any_schema, text, len);
}

static void run_tree_schema(const char *text, size_t len)
{
    validate(tree_schema, text, len);
}

static void run_carousel(const char *text, size_t len)
{
    static struct carousel_message message;
    struct carousel_problem problem;
    carousel_parse(text, len, false, &message, &problem);
}

static void run_streams(const char *text, size_t len)
{
    static struct topic topics[1000];
    struct streams_message message;
    char error[STREAMS_ERROR_MAX];
    uint32_t count;
    if (streams_message_parse(text, len, false, &message, error))
        streams_message_ids(&message, topics, ARRAY_LEN(topics), &count, error);
}

static void run_rest(const char *text, size_t len)
{
    struct rest_body body;
    char why[COMMAND_JSON_ERROR_MAX];
    rest_body_parse(text, len, REST_BODY_COMMAND, "m1", NULL, &body, why);
}

static struct schema *reading_schema, *readings_schema;

/* As a body of POST /readings, of one or of many. */
static void run_sensors(const char *text, size_t len)
{
    static char memory[1u << 20];
    char why[SCHEMA_JSON_WHY_MAX];
    struct schema_result result;
    struct sensors_wanted wanted;
    json_t *body = schema_json_load(text, len, SCHEMA_VALUES_MAX, why), *message = json_object();
    if (body == NULL) {
        json_decref(message);
        return;
    }
    json_object_set_new(message, "body", body);
    enum err_e err =
        schema_validate(json_is_array(body) ? readings_schema : reading_schema, message, &result);
    assert_true(err == ERR_OK || err == ERR_MALFORMED);
    if (err == ERR_OK) {
        struct out out = out_init(memory, sizeof memory);
        sensors_arguments(result.value, &wanted, &out);
    }
    json_decref(result.value);
    json_decref(result.errors);
    json_decref(message);
}

static void make_readings_schemas(void)
{
    unsigned row = 0;
    while (sensors_rows[row].body != BODY_CREATE_OR_MANY)
        row++;
    assert_int_equal(sensors_schema_new(&sensors_rows[row], FORM_USUAL, &reading_schema), ERR_OK);
    assert_int_equal(sensors_schema_new(&sensors_rows[row], FORM_OTHER, &readings_schema), ERR_OK);
}

static const struct {
    const char *name;
    void (*run)(const char *text, size_t len);
    size_t fixed, per_byte; /* memory: at most so much, and so much for each byte of text */
} parsers[] = {
    {"schema {}", run_any_schema, TREE_BYTES, 4},
    {"schema tree", run_tree_schema, 2 * TREE_BYTES, 4},
    {"carousel", run_carousel, 65536, 120}, /* of which there are at most max_message_bytes */
    {"streams", run_streams, 0, 0},
    {"REST", run_rest, 65536, 120},
    {"sensors", run_sensors, TREE_BYTES, 4},
};

/* --- measuring ------------------------------------------------------------------------------------------------------ */

static char *room; /* LARGE */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ns for a byte; the memory is judged. */
static double cost(const struct seed *seed, size_t shape, size_t parser, size_t size)
{
    struct out out = out_init(room, size);
    shapes[shape].make(&out, seed);
    assert_false(out.overflow);
    char *exact = malloc(out.len); /* so that a read past the end shows */
    memcpy(exact, room, out.len);
    size_t before = alive;
    peak = alive;
    uint64_t start = now_ns();
    parsers[parser].run(exact, out.len);
    double ns = (double)(now_ns() - start) / (double)out.len;
    free(exact);
    assert_int_equal(alive, before);
    if (peak - before > parsers[parser].fixed + parsers[parser].per_byte * out.len)
        fail_msg("%s, %s of %zu bytes: %zu bytes of memory", parsers[parser].name, shapes[shape].name,
                 out.len, peak - before);
    return ns;
}

static void judge(const struct seed *seed, size_t shape, size_t parser, double *worst)
{
    double middle = cost(seed, shape, parser, MIDDLE);
    double large =
        middle > LIMIT_NS ? middle : cost(seed, shape, parser, LARGE); /* else it would take minutes */
    *worst = large > *worst ? large : *worst;
    if (large > LIMIT_NS || (large > SMALL_NS && large > GROWTH * middle))
        fail_msg("%s, %s of \"%.*s\": %.1f ns/byte, and %.1f of a tenth of it", parsers[parser].name,
                 shapes[shape].name, (int)seed->len, seed->text, large, middle);
}

/* --- corpora -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t skip; /* bytes before the JSON */
} corpora[] = {{"carousel_message_fuzz", 0}, {"streams_scan_fuzz", 0}, {"streams_fuzz", 4},
               {"rest_text_fuzz", 1},        {"schema_fuzz", 0},       {"sensors_fuzz", 2}};

static struct seed *seeds;
static size_t seed_count;

static void read_seed(const char *directory, const char *name, size_t skip)
{
    char path[1024], text[FILE_MAX + 8];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    size_t len = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    if (file != NULL)
        fclose(file);
    if (len <= skip)
        return;
    len = len - skip < FILE_MAX ? len - skip : FILE_MAX;
    seeds = realloc(seeds, (seed_count + 1) * sizeof *seeds);
    memcpy(seeds[seed_count].text, text + skip, len);
    seeds[seed_count++].len = len;
}

static void read_corpus(size_t corpus)
{
    char directory[512];
    snprintf(directory, sizeof directory, "%s/%s", CORPUS, corpora[corpus].name);
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    seed_count = 0;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        if (entry->d_name[0] != '.')
            read_seed(directory, entry->d_name, corpora[corpus].skip);
    closedir(entries);
    assert_true(seed_count > 20);
}

/* The seed that costs most, of a shape and a parser. */
static const struct seed *costliest(size_t shape, size_t parser)
{
    const struct seed *found = seeds;
    double most = 0;
    for (size_t i = 0; i < seed_count; i++) {
        double ns = seeds[i].len < SCREEN / 4 ? cost(&seeds[i], shape, parser, SCREEN) : 0;
        if (ns > most) {
            most = ns;
            found = &seeds[i];
        }
    }
    return found;
}

static void see_corpus(size_t corpus)
{
    bool all = getenv("NORIA_HOSTILE") != NULL && strcmp(getenv("NORIA_HOSTILE"), "all") == 0;
    double worst[ARRAY_LEN(shapes)][ARRAY_LEN(parsers)] = {0};
    read_corpus(corpus);
    for (size_t shape = 0; shape < ARRAY_LEN(shapes); shape++) {
        for (size_t parser = 0; parser < ARRAY_LEN(parsers); parser++) {
            for (size_t i = 0; all && i < seed_count; i++)
                judge(&seeds[i], shape, parser, &worst[shape][parser]);
            if (!all)
                judge(costliest(shape, parser), shape, parser, &worst[shape][parser]);
        }
    }
    print_message("%s: %zu files\n", corpora[corpus].name, seed_count);
    for (size_t shape = 0; shape < ARRAY_LEN(shapes); shape++) {
        print_message("  %-18s", shapes[shape].name);
        for (size_t parser = 0; parser < ARRAY_LEN(parsers); parser++)
            print_message(" %s %.1f", parsers[parser].name, worst[shape][parser]);
        print_message(" ns/byte\n");
    }
}

/* The dialects compile their tables when they first need them. */
static void keep_tables(void)
{
    static const char *const texts[] = {
        "{\"type\":\"get_status\",\"ws_op\":\"open\",\"ws_stream_ids\":\"a\",\"command\":0}",
        "{\"type\":\"send_command\",\"machine_id\":\"m\",\"command\":1,\"argument\":1,\"ws_op\":\"send\"}",
        "{\"type\":\"subscribe\",\"ws_op\":\"admin\"}",
        "{\"type\":\"unsubscribe\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t parser = 0; parser < ARRAY_LEN(parsers); parser++)
            parsers[parser].run(texts[i], strlen(texts[i]));
}

static void every_corpus(void **state)
{
    (void)state;
    for (size_t corpus = 0; corpus < ARRAY_LEN(corpora); corpus++)
        see_corpus(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_corpus)};
    json_set_alloc_funcs(count_in, count_out);
    any_schema = read_json("{}");
    tree_schema = read_json(tree_json);
    make_readings_schemas();
    room = malloc(LARGE);
    keep_tables();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    schema_free(&any_schema);
    schema_free(&tree_schema);
    schema_free(&reading_schema);
    schema_free(&readings_schema);
    free(room);
    free(seeds);
    return failed;
}
