/* up_orders.c — see up_orders.h. A table of words: nothing else that comes over the socket has an effect. */
#include "up_orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch_control.h"
#include "launch_rolling.h"
#include "log.h"
#include "must.h"

struct up_orders {
    struct family *family;
    struct up_reload *reload;
    struct rolling *rolling;
    struct control_server *server;
    struct control_peer *rolls, *reloads; /* who waits for the end of which; NULL: nobody */
    bool hangup_waits;
};

static const char A_RESTART[] = "a restart is under way: ask again when it is over";
static const char A_RELOAD[] = "a reload is under way: ask again when it is over";

/* --- restart and drain ------------------------------------------------------------------------------------------ */

static void on_rolled(void *arg, const char *line)
{
    const struct up_orders *orders = arg;
    if (orders->rolls != NULL)
        control_say(orders->rolls, line);
}

static void on_rolled_all(void *arg, const char *problem)
{
    struct up_orders *orders = arg;
    struct control_peer *peer = orders->rolls;
    orders->rolls = NULL;
    if (peer != NULL)
        control_end(peer, problem);
    if (orders->hangup_waits)
        up_orders_hangup(orders);
}

static const char *why_not(enum err_e err)
{
    return err == ERR_BUSY ? A_RESTART : err == ERR_CLOSED ? "Noria stops" : err_text(err);
}

static void refuse_unknown(struct control_peer *peer, const char *kind, const char *name)
{
    char text[CONTROL_REQUEST_MAX + 64];
    snprintf(text, sizeof text, "no %s is called \"%s\"", kind, name);
    control_end(peer, text);
}

static void take_restart(struct up_orders *orders, struct control_peer *peer, const char *const *words,
                         size_t count)
{
    const char *unknown = "";
    if (rolling_busy(orders->rolling)) {
        control_end(peer, A_RESTART);
        return;
    }
    orders->rolls = peer;
    enum err_e err =
        rolling_restart(orders->rolling, words, count, &unknown, on_rolled, on_rolled_all, orders);
    if (err == ERR_OK)
        return;
    orders->rolls = NULL;
    if (err == ERR_NOT_FOUND)
        refuse_unknown(peer, "process", unknown);
    else
        control_end(peer, why_not(err));
}

static void take_drain(struct up_orders *orders, struct control_peer *peer, const char *const *words,
                       size_t count)
{
    if (count != 1 || rolling_busy(orders->rolling)) {
        control_end(peer, count != 1 ? "one worker at a time" : A_RESTART);
        return;
    }
    orders->rolls = peer;
    enum err_e err = rolling_drain(orders->rolling, words[0], on_rolled, on_rolled_all, orders);
    if (err == ERR_OK)
        return;
    orders->rolls = NULL;
    if (err == ERR_NOT_FOUND)
        refuse_unknown(peer, "worker", words[0]);
    else
        control_end(peer, why_not(err));
}

/* --- reload ----------------------------------------------------------------------------------------------------- */

static void on_reload_line(void *arg, const char *line)
{
    const struct up_orders *orders = arg;
    if (orders->reloads != NULL)
        control_say(orders->reloads, line);
}

static void on_reloaded(void *arg, const char *problem)
{
    struct up_orders *orders = arg;
    struct control_peer *peer = orders->reloads;
    orders->reloads = NULL;
    if (peer != NULL)
        control_end(peer, problem);
}

static void take_reload(struct up_orders *orders, struct control_peer *peer, const char *const *words,
                        size_t count)
{
    bool dry_run = count == 1 && strcmp(words[0], "dry-run") == 0;
    struct reload *reload = up_reload_transaction(orders->reload);
    if (count > 0 && !dry_run) {
        control_end(peer, "reload takes no name");
        return;
    }
    if (reload_busy(reload)) {
        control_end(peer, A_RELOAD);
        return;
    }
    orders->reloads = peer;
    enum err_e err = reload_begin(reload, dry_run, on_reload_line, on_reloaded, orders);
    if (err != ERR_OK) {
        orders->reloads = NULL;
        control_end(peer, err_text(err));
    }
}

void up_orders_hangup(struct up_orders *orders)
{
    orders->hangup_waits = rolling_busy(orders->rolling);
    if (orders->hangup_waits)
        log_info("reload", "text=\"waits for the end of a restart\"");
    else
        reload_signal(up_reload_transaction(orders->reload));
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static const struct order {
    const char *word;
    bool replaces; /* processes: not while a reload is under way */
    void (*take)(struct up_orders *orders, struct control_peer *peer, const char *const *words, size_t count);
} table[] = {
    {"restart", true, take_restart},
    {"drain", true, take_drain},
    {"reload", false, take_reload},
};

static const struct order *find_order(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].word, word) == 0)
            return &table[i];
    return NULL;
}

static void on_request(void *arg, struct control_peer *peer, const char *const *words, size_t count)
{
    struct up_orders *orders = arg;
    const struct order *order = count > 0 ? find_order(words[0]) : NULL;
    if (order == NULL) {
        control_end(peer, "not one of restart, drain, reload");
        return;
    }
    log_info("control-request", "word=%s names=%zu", order->word, count - 1);
    if (family_stops(orders->family))
        control_end(peer, "Noria stops");
    else if (order->replaces && reload_busy(up_reload_transaction(orders->reload)))
        control_end(peer, A_RELOAD);
    else if (!order->replaces && rolling_busy(orders->rolling))
        control_end(peer, A_RESTART);
    else
        order->take(orders, peer, words + 1, count - 1);
}

static void on_gone(void *arg, struct control_peer *peer)
{
    struct up_orders *orders = arg;
    if (orders->rolls == peer)
        orders->rolls = NULL;
    if (orders->reloads == peer)
        orders->reloads = NULL;
}

/* --- its life --------------------------------------------------------------------------------------------------- */

enum err_e up_orders_open(struct loop *loop, struct family *family, struct up_reload *reload,
                          const char *path, struct up_orders **out)
{
    struct up_orders *orders = calloc(1, sizeof *orders);
    *out = orders;
    if (orders == NULL)
        return ERR_MEMORY;
    orders->family = family;
    orders->reload = reload;
    orders->rolling = rolling_new(family);
    const struct control_server_options options = {path, on_request, on_gone, orders};
    enum err_e err =
        orders->rolling != NULL ? control_server_open(loop, &options, &orders->server) : ERR_MEMORY;
    if (err != ERR_OK)
        up_orders_close(out);
    return err;
}

void up_orders_close(struct up_orders **out)
{
    struct up_orders *orders = *out;
    if (orders == NULL)
        return;
    reload_forget(up_reload_transaction(orders->reload), orders);
    control_server_close(&orders->server);
    rolling_free(&orders->rolling);
    free(orders);
    *out = NULL;
}

uint64_t up_orders_requests(const struct up_orders *orders)
{
    return control_server_requests(orders->server);
}

uint64_t up_orders_refused(const struct up_orders *orders)
{
    return control_server_refused(orders->server);
}
