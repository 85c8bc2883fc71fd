/* conf_profiles.c — the user's profiles, from the file to struct profile, and past the linter (profile_lint.h). */
#include <stdio.h>
#include <string.h>

#include "conf_load.h"
#include "must.h"
#include "profile_lint.h"

static void fill_bit(struct conf_load *load, const struct raw_bit *raw, struct conf_place place,
                     struct profile_bit *to)
{
    struct conf_bit bit = {0};
    conf_section_apply(&conf_bit_section, raw, place.outline, place.node, &bit, &load->problems);
    *to = (struct profile_bit){
        bit.key, bit.bit, {bit.zero.text, bit.one.text}, {bit.zero.meaning, bit.one.meaning}};
}

struct lint {
    struct conf_load *load;
    struct conf_place profile;
    const struct conf_place *bits;
};

static void on_finding(void *arg, const struct profile_finding *finding)
{
    struct lint *lint = arg;
    struct conf_place place = finding->bit < 0 ? lint->profile : lint->bits[finding->bit];
    if (finding->value >= 0)
        place = conf_place_of(place, finding->value == 0 ? "zero" : "one");
    if (finding->error)
        conf_problem_at(&lint->load->problems, place, finding->member, "%s", finding->text);
    else
        conf_warn(lint->load, place, finding->member, "%s", finding->text);
}

static bool is_taken(const struct conf *conf, size_t i)
{
    const char *name = conf->profiles[i].name;
    for (size_t other = 0; other < i; other++)
        if (conf->profiles[other].name != NULL && strcmp(conf->profiles[other].name, name) == 0)
            return true;
    return false;
}

static void fill_profile(struct conf_load *load, size_t i, struct conf_place place)
{
    const struct raw_profile *raw = &load->owner->raw->profiles[i];
    struct profile *profile = &load->owner->draft.conf.profiles[i];
    struct conf_place bits[PROFILE_BITS_MAX];
    size_t before = load->problems.count;
    MUST(raw->bits_count <= PROFILE_BITS_MAX);
    conf_section_apply(&conf_profile_section, raw, place.outline, place.node, profile, &load->problems);
    conf_places(conf_child(place, "bits"), raw->bits_count, bits);
    for (size_t b = 0; b < raw->bits_count; b++)
        fill_bit(load, &raw->bits[b], bits[b], &profile->bits[b]);
    profile->bit_count = (uint8_t)raw->bits_count;
    if (load->problems.count > before ||
        raw->bits_count == 0) /* what is half read would only be told of twice */
        return;
    if (is_taken(&load->owner->draft.conf, i))
        conf_problem_at(&load->problems, place, "name", "there is another profile %s above", profile->name);
    struct lint lint = {load, place, bits};
    profile_lint(profile, on_finding, &lint);
}

enum err_e conf_fill_profiles(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    size_t count = load->owner->raw->profiles_count;
    struct conf_place places[CONF_PROFILES_MAX];
    MUST(count <= CONF_PROFILES_MAX);
    conf->profiles = conf_own(load->owner, (count + 1) * sizeof *conf->profiles);
    if (conf->profiles == NULL)
        return ERR_MEMORY;
    conf->profile_count = count;
    conf_places(conf_child(conf_root(load), "profiles"), count, places);
    for (size_t i = 0; i < count; i++)
        fill_profile(load, i, places[i]);
    return ERR_OK;
}
