/* show_profile.c — see show_profile.h. */
#include "show_profile.h"

#include <string.h>

#include "interlock.h"
#include "must.h"
#include "profile_lint.h"

/* --- columns ---------------------------------------------------------------------------------------------------- */

/* Characters, not bytes; the texts are valid UTF-8. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void cell(FILE *out, const char *text, size_t width)
{
    size_t own = width_of(text);
    fprintf(out, "%s%*s  ", text, (int)(width > own ? width - own : 0), "");
}

static size_t column_of(const struct profile_bit *bit)
{
    size_t width = width_of(bit->key);
    for (unsigned value = 0; value < 2; value++)
        width = width_of(bit->text[value]) > width ? width_of(bit->text[value]) : width;
    return width;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

#define MEANINGS_BYTES (PROFILE_BITS_MAX * 20)

static void meanings_of(const struct profile *profile, uint8_t raw, char out[MEANINGS_BYTES])
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < profile->bit_count; i++) {
        const struct profile_bit *bit = &profile->bits[i];
        enum meaning_e meaning = bit->meaning[raw >> bit->bit & 1];
        if (meaning != MEANING_NONE)
            len += (size_t)snprintf(out + len, MEANINGS_BYTES - len, "%s%s", len > 0 ? " " : "",
                                    meaning_text(meaning));
        MUST(len < MEANINGS_BYTES);
    }
}

static size_t widest_meanings(const struct profile *profile)
{
    size_t widest = strlen("means");
    char meanings[MEANINGS_BYTES];
    for (unsigned raw = 0; raw < 256; raw++) {
        meanings_of(profile, (uint8_t)raw, meanings);
        widest = strlen(meanings) > widest ? strlen(meanings) : widest;
    }
    return widest;
}

static void verdict(const struct profile *profile, uint8_t raw, FILE *out)
{
    const char *text;
    enum command_code_e code = interlock_admits(profile, raw, &text);
    if (code == CODE_NONE)
        fprintf(out, "yes\n");
    else
        fprintf(out, "no: %s, %s\n", command_code_name(code), text != NULL ? text : "it moves");
}

static void byte_line(const struct profile *profile, uint8_t raw, size_t widest, FILE *out)
{
    char meanings[MEANINGS_BYTES];
    fprintf(out, "%3u   %02x  ", raw, raw);
    for (unsigned bit = 8; bit-- > 0;)
        fputc('0' + (raw >> bit & 1), out);
    fprintf(out, "  ");
    for (unsigned i = 0; i < profile->bit_count; i++)
        cell(out, profile->bits[i].text[raw >> profile->bits[i].bit & 1], column_of(&profile->bits[i]));
    meanings_of(profile, raw, meanings);
    cell(out, meanings, widest);
    verdict(profile, raw, out);
}

static void on_finding(void *arg, const struct profile_finding *finding)
{
    fprintf(arg, "%s: ", finding->error ? "error" : "warning");
    if (finding->bit >= 0)
        fprintf(arg, "bits[%d]: ", finding->bit);
    fprintf(arg, "%s\n", finding->text);
}

void show_profile(const struct profile *profile, FILE *out)
{
    size_t widest = widest_meanings(profile);
    fprintf(out, "profile %s, version %u\n", profile->name, profile->version);
    for (unsigned i = 0; i < profile->bit_count; i++) {
        const struct profile_bit *bit = &profile->bits[i];
        fprintf(out, "  bit %u  %s  0: %s (%s)  1: %s (%s)\n", bit->bit, bit->key, bit->text[0],
                meaning_text(bit->meaning[0]), bit->text[1], meaning_text(bit->meaning[1]));
    }
    profile_lint(profile, on_finding, out);
    fprintf(out, "\ndec  hex  bits      ");
    for (unsigned i = 0; i < profile->bit_count; i++)
        cell(out, profile->bits[i].key, column_of(&profile->bits[i]));
    cell(out, "means", widest);
    fprintf(out, "move\n");
    for (unsigned raw = 0; raw < 256; raw++)
        byte_line(profile, (uint8_t)raw, widest, out);
}

/* --- the list --------------------------------------------------------------------------------------------------- */

static void list_line(const struct profile *profile, const char *origin, const struct conf *conf, FILE *out)
{
    size_t users = 0;
    for (size_t i = 0; conf != NULL && i < conf->machine_count; i++)
        users += conf->machines[i].profile == profile;
    fprintf(out, "%s  version %u, %u bit%s, %s", profile->name, profile->version, profile->bit_count,
            profile->bit_count == 1 ? "" : "s", origin);
    if (conf != NULL)
        fprintf(out, ", used by %zu machine%s", users, users == 1 ? "" : "s");
    fputc('\n', out);
}

void show_profiles(const struct conf *conf, FILE *out)
{
    for (size_t i = 0; profile_builtin_at(i) != NULL; i++)
        list_line(profile_builtin_at(i), "built in", conf, out);
    for (size_t i = 0; conf != NULL && i < conf->profile_count; i++)
        list_line(&conf->profiles[i], conf->file, conf, out);
}
