/* ask_text.c — see ask_text.h. The schemas are what Pydantic writes for such models (common/schema/schema.h), with a limit on
 * every member, as an endpoint that is open to the world has. */
#include "ask_text.h"

#include <stdio.h>

#define LINES 14u

static const char small[] = "{\"id\":\"0000000000000000\",\"user\":\"operator-7\",\"message\":\"tray 12 to "
                            "the counter\",\"priority\":3,"
                            "\"urgent\":true}";

static const char small_schema[] = "{\"type\":\"object\",\"properties\":{"
                                   "\"id\":{\"type\":\"string\",\"minLength\":16,\"maxLength\":16},"
                                   "\"user\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":32},"
                                   "\"message\":{\"type\":\"string\",\"maxLength\":200},"
                                   "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9},"
                                   "\"urgent\":{\"type\":\"boolean\",\"default\":false}},"
                                   "\"required\":[\"id\",\"user\",\"message\",\"priority\"]}\n";

static const char nested_schema[] =
    "{\"$defs\":{"
    "\"Customer\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":64},"
    "\"city\":{\"type\":\"string\",\"maxLength\":64},\"zip\":{\"type\":\"string\",\"pattern\":\"^[0-9]{5}$\"}"
    "},"
    "\"required\":[\"name\",\"city\",\"zip\"]},"
    "\"Place\":{\"type\":\"object\",\"properties\":{\"machine\":{\"type\":\"string\",\"maxLength\":64},"
    "\"tray\":{\"type\":\"integer\",\"minimum\":0},\"row\":{\"type\":\"integer\",\"minimum\":0}},"
    "\"required\":[\"machine\",\"tray\",\"row\"]},"
    "\"Line\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"minLength\":1,"
    "\"maxLength\":32},"
    "\"quantity\":{\"type\":\"integer\",\"exclusiveMinimum\":0},"
    "\"weight_kg\":{\"type\":\"number\",\"minimum\":0},\"place\":{\"$ref\":\"#/$defs/Place\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":16},\"maxItems\":8}},"
    "\"required\":[\"sku\",\"quantity\",\"weight_kg\",\"place\",\"tags\"]}},"
    "\"type\":\"object\",\"properties\":{"
    "\"id\":{\"type\":\"string\",\"minLength\":16,\"maxLength\":16},"
    "\"order\":{\"type\":\"string\",\"maxLength\":32},\"customer\":{\"$ref\":\"#/$defs/Customer\"},"
    "\"lines\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/Line\"},\"minItems\":1,\"maxItems\":100},"
    "\"express\":{\"type\":\"boolean\"},"
    "\"note\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"default\":null}},"
    "\"required\":[\"id\",\"order\",\"customer\",\"lines\",\"express\"]}\n";

const char *ask_text_name(enum ask_text_e which)
{
    return which == ASK_SMALL ? "small" : "nested";
}

const char *ask_text_schema(enum ask_text_e which)
{
    return which == ASK_SMALL ? small_schema : nested_schema;
}

static size_t make_nested(char text[ASK_TEXT_MAX])
{
    size_t len = (size_t)snprintf(text, ASK_TEXT_MAX,
                                  "{\"id\":\"0000000000000000\",\"order\":\"A-20417\",\"customer\":{\"name\":"
                                  "\"Imprenta Sur\",\"city\":\"Sevilla\",\"zip\":\"41001\"},\"lines\":[");
    for (unsigned i = 0; i < LINES; i++)
        len +=
            (size_t)snprintf(text + len, ASK_TEXT_MAX - len,
                             "%s{\"sku\":\"SKU-%05u\",\"quantity\":%u,\"weight_kg\":%u.25,\"place\":{"
                             "\"machine\":\"bench_%u\",\"tray\":%u,\"row\":%u},\"tags\":[\"fragile\","
                             "\"upright\"]}",
                             i > 0 ? "," : "", 10007 * (i + 1) % 100000, i + 1, 3 * i, i % 4, 2 * i, i % 5);
    return len + (size_t)snprintf(text + len, ASK_TEXT_MAX - len, "],\"express\":false,\"note\":null}");
}

size_t ask_text_make(enum ask_text_e which, char text[ASK_TEXT_MAX])
{
    return which == ASK_SMALL ? (size_t)snprintf(text, ASK_TEXT_MAX, "%s", small) : make_nested(text);
}
