#include "sensors_routes.h"

#include <stdio.h>

#include "must.h"

#define ROW(method, entity, tail, operation, grant, id, body, ...)                                           \
    {#method, ENTITY_##entity, tail, STORE_OP_##operation, GRANTED_##grant, id, BODY_##body, {__VA_ARGS__}},

const struct sensors_row sensors_rows[] = {SENSORS_ROUTES(ROW)};

void sensors_path(const struct sensors_row *row, bool spanish, char path[SENSORS_PATH_MAX])
{
    const struct entity *entity = entity_of(row->entity);
    const char *segment = entity == NULL ? "" : spanish ? entity->spanish : entity->english;
    int len =
        snprintf(path, SENSORS_PATH_MAX, "/api/v1%s%s%s", entity != NULL ? "/" : "", segment, row->tail);
    MUST(len > 0 && len < (int)SENSORS_PATH_MAX);
}
