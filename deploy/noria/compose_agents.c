/* compose_agents.c — see compose_text.h. */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "compose_text.h"

#define SMALL_NETWORK 100u /* machines, up to which a /24 does */

bool compose_simulates(const struct conf *conf)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (conf->machines[i].info.simulator)
            return true;
    return false;
}

void compose_name(const char *id, char name[MACHINE_ID_MAX + 1])
{
    snprintf(name, MACHINE_ID_MAX + 1, "%s", id);
    for (; *name != '\0'; name++)
        if (*name == ':')
            *name = '-';
}

/* NORIA_IMAGE_LIFT_1 of lift-1. */
static void variable(FILE *out, const char *id)
{
    fputs("NORIA_IMAGE_", out);
    for (; *id != '\0'; id++)
        fputc(isalnum((unsigned char)*id) ? toupper((unsigned char)*id) : '_', out);
}

static void write_agent(const struct conf *conf, const struct compose_options *options,
                        const struct conf_machine *machine, FILE *out)
{
    const char *id = machine->info.id;
    char name[MACHINE_ID_MAX + 1];
    compose_name(id, name);
    fprintf(out, "\n  agent-%s:\n    <<: *noria\n    image: ${", name);
    variable(out, id);
    fprintf(out, ":-%s}\n    command: [plc-agent, -c, ", options->image);
    compose_file(out, conf);
    fputs(", -m, ", out);
    compose_quoted(out, id);
    fprintf(out, "]\n    labels: {noria.configuration: \"%016" PRIx64 "\"}\n    networks: [plc]\n",
            conf_machine_digest(machine));
    fprintf(out,
            "    volumes: [*configuration, \"bus:" COMPOSE_RUNTIME "/bus\", \"agent-%s:" COMPOSE_STATE
            "\"]\n",
            name);
    fputs("    mem_limit: 64m\n    healthcheck:\n      <<: *health\n      test: [CMD, noria, health, ", out);
    compose_quoted(out, id);
    fputs("]\n", out);
}

void compose_agents(const struct conf *conf, const struct compose_options *options, FILE *out)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        write_agent(conf, options, &conf->machines[i], out);
}

/* --- PLCs that are simulated ---------------------------------------------------------------------------------------- */

void compose_simulator(const struct conf *conf, FILE *out)
{
    if (!compose_simulates(conf))
        return;
    fputs("\n"
          "  plc-sim: # docker-compose --profile demo up -d\n"
          "    <<: *noria\n"
          "    profiles: [demo]\n"
          "    command: [plc-sim, -c, ",
          out);
    compose_file(out, conf);
    fprintf(out,
            "]\n"
            "    networks: {plc: {ipv4_address: %s}} # simulator.address\n"
            "    volumes: [*configuration]\n"
            "    tmpfs: [\"" COMPOSE_RUNTIME ":size=160m,mode=0750,uid=%d,gid=%d\"] # its log of every byte\n"
            "    mem_limit: 256m\n"
            "    healthcheck:\n"
            "      <<: *health\n"
            "      test: [CMD, noria, health, plc-sim]\n",
            conf->simulator_address, COMPOSE_UID, COMPOSE_UID);
}

/* The engine gives agents addresses of the upper half; the simulator's, which was chosen, is in the lower. */
void compose_plc_network(const struct conf *conf, FILE *out)
{
    struct in_addr address;
    unsigned bits = conf->machine_count <= SMALL_NETWORK ? 24 : 21;
    if (!compose_simulates(conf) || inet_pton(AF_INET, conf->simulator_address, &address) != 1) {
        fputs("  plc: {}\n", out);
        return;
    }
    uint32_t net = ntohl(address.s_addr) & ~((1u << (32 - bits)) - 1u);
    struct in_addr subnet = {htonl(net)}, gateway = {htonl(net + 1)},
                   upper = {htonl(net + (1u << (31 - bits)))};
    char subnet_text[INET_ADDRSTRLEN], gateway_text[INET_ADDRSTRLEN], upper_text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &subnet, subnet_text, sizeof subnet_text);
    inet_ntop(AF_INET, &gateway, gateway_text, sizeof gateway_text);
    inet_ntop(AF_INET, &upper, upper_text, sizeof upper_text);
    fprintf(out,
            "  plc:\n    ipam:\n      config: [{subnet: %s/%u, gateway: %s, ip_range: %s/%u}] # around "
            "simulator.address\n",
            subnet_text, bits, gateway_text, upper_text, bits + 1);
}
