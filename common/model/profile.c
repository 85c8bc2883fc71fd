#include "profile.h"

#include <stddef.h>
#include <string.h>

#include "hash.h"
#include "must.h"

static const struct profile builtin[] = {
    {"standard",
     1,
     4,
     {
         {"READY", 1, {"Error", "OK"}, {MEANING_NOT_READY, MEANING_READY}},
         {"RUN", 0, {"Detenido", "En movimiento"}, {MEANING_STOPPED, MEANING_MOVING}},
         {"MODO_OPERACION", 3, {"Local", "Remoto"}, {MEANING_MANUAL, MEANING_REMOTE}},
         {"ALARMA", 2, {"Desactivada", "Activada"}, {MEANING_NO_ALARM, MEANING_ALARM}},
     }},
    {"delta-as",
     1,
     8,
     {
         {"READY",
          0,
          {"El equipo está listo para operar", "El equipo no puede operar"},
          {MEANING_READY, MEANING_NOT_READY}},
         {"RUN",
          1,
          {"El equipo no se está posicionando", "El equipo está en movimiento"},
          {MEANING_STOPPED, MEANING_MOVING}},
         {"MODO_OPERACION", 2, {"Modo Manual", "Modo Remoto"}, {MEANING_MANUAL, MEANING_REMOTE}},
         {"ALARMA", 3, {"No hay alarma", "Alarma activa"}, {MEANING_NO_ALARM, MEANING_ALARM}},
         {"PARADA_EMERGENCIA",
          4,
          {"Parada de emergencia presionada y activa", "Sin parada de emergencia"},
          {MEANING_ESTOP, MEANING_NO_ESTOP}},
         {"VFD",
          5,
          {"El variador de velocidad está OK", "Error en el variador de velocidad"},
          {MEANING_DRIVE_OK, MEANING_DRIVE_FAULT}},
         {"ERROR_POSICIONAMIENTO",
          6,
          {"No hay error de posicionamiento", "Ha ocurrido un error en el posicionamiento"},
          {MEANING_POSITIONING_OK, MEANING_POSITIONING_ERROR}},
         {"SENTIDO_GIRO", 7, {"Ascendente", "Descendente"}, {MEANING_UPWARD, MEANING_DOWNWARD}},
     }},
};

const struct profile *profile_builtin(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(builtin); i++)
        if (strcmp(builtin[i].name, name) == 0)
            return &builtin[i];
    return NULL;
}

const struct profile *profile_builtin_at(size_t index)
{
    return index < ARRAY_LEN(builtin) ? &builtin[index] : NULL;
}

const char *meaning_text(enum meaning_e meaning)
{
    static const char *const texts[MEANING_COUNT] = {
#define X(name, text) text,
        MEANING_TABLE(X)
#undef X
    };
    return (unsigned)meaning < MEANING_COUNT ? texts[meaning] : "unknown";
}

static unsigned bit_value(const struct profile_bit *bit, uint8_t raw)
{
    return ((unsigned)raw >> bit->bit) & 1u;
}

bool profile_says(const struct profile *profile, uint8_t raw, enum meaning_e meaning)
{
    for (unsigned i = 0; i < profile->bit_count; i++)
        if (profile->bits[i].meaning[bit_value(&profile->bits[i], raw)] == meaning)
            return true;
    return false;
}

void profile_json(const struct profile *profile, uint8_t raw, struct out *out)
{
    out_char(out, '{');
    for (unsigned i = 0; i < profile->bit_count; i++) {
        const struct profile_bit *bit = &profile->bits[i];
        const char *text = bit->text[bit_value(bit, raw)];
        if (i > 0)
            out_char(out, ',');
        out_json_string(out, bit->key, strlen(bit->key));
        out_char(out, ':');
        out_json_string(out, text, strlen(text));
    }
    out_char(out, '}');
}

uint64_t profile_hash(const struct profile *profile)
{
    uint64_t h = hash_bytes(profile->name, strlen(profile->name), profile->version);
    for (unsigned i = 0; i < profile->bit_count; i++) {
        const struct profile_bit *bit = &profile->bits[i];
        h = hash_bytes(bit->key, strlen(bit->key), h ^ bit->bit);
        for (unsigned v = 0; v < 2; v++)
            h = hash_bytes(bit->text[v], strlen(bit->text[v]), h ^ ((uint64_t)bit->meaning[v] << 8));
    }
    return h;
}
