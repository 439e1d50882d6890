/* SPDX-License-Identifier: Apache-2.0 */
/* Levers as text. */
#include "lever_options.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Digits at *at, moved behind them; false where there are none or they say more than `most`. */
static bool take_digits(const char **at, uint64_t most, uint64_t *number)
{
    const char *begin = *at;
    *number = 0;
    for (; **at >= '0' && **at <= '9' && *number <= most; (*at)++)
        *number = *number * 10 + (uint64_t)(**at - '0');
    return *at > begin && *number <= most;
}

static bool take_number(const char **at, uint32_t *number)
{
    uint64_t value;
    const bool taken = take_digits(at, UINT32_MAX, &value);
    *number = (uint32_t)value;
    return taken;
}

/* A whole number and what stands behind its point, as thousandths. */
static bool take_thousandths(const char **at, uint32_t *thousandths)
{
    uint32_t whole, unit = 100;
    if (!take_number(at, &whole) || whole > 1000) return false;
    *thousandths = whole * 1000;
    if (**at != '.') return true;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        *thousandths += unit * (uint32_t)(**at - '0');
    return true;
}

/* "50%" as 0.5, above 0 and at most 1. */
static bool take_share(const char *text, double *share)
{
    uint32_t thousandths = 0;
    const char *at = text;
    const bool read = take_thousandths(&at, &thousandths) && strcmp(at, "%") == 0;
    *share = thousandths / 100000.0;
    return read && thousandths > 0 && thousandths <= 100000;
}

double cli_read_share(const char *option, const char *text)
{
    double share = 0;
    if (text && !take_share(text, &share))
        cli_die(CLI_USAGE,
                "--%s: '%s' is no share: say what stays in per cent, such as 50%%, above 0%% and "
                "at most 100%%",
                option, text);
    return share;
}

void cli_read_count(const char *option, const char *text, uint32_t *count, double *share)
{
    const char *at = text;
    if (!text) return;
    if (strchr(text, '%')) *share = cli_read_share(option, text);
    else if (!take_number(&at, count) || *at || *count == 0)
        cli_die(CLI_USAGE, "--%s: '%s' is neither a number, such as 6, nor a share, such as 50%%",
                option, text);
}

void cli_read_at(const char *text, uint32_t *batch, uint32_t *length)
{
    const char *at = text;
    if (!text) return;
    if (!take_number(&at, batch) || *at++ != 'x' || !take_number(&at, length) || *at || !*batch ||
        !*length)
        cli_die(CLI_USAGE, "--at: '%s' is not BATCHxLENGTH, such as 1x128", text);
}

uint32_t cli_read_groups(const char *text)
{
    uint32_t groups = 0;
    const char *at = text;
    if (text && (!take_number(&at, &groups) || *at || groups < 2))
        cli_die(CLI_USAGE, "--groups: '%s' is no number of groups: 2 or more, such as 4", text);
    return groups;
}

static uint32_t *layers;

static void free_layers(void)
{
    free(layers);
    layers = NULL;
}

/* "first:3" and "every:2". */
static bool read_rule(const char *text, const char *word, uint32_t *number)
{
    const size_t n = strlen(word);
    const char *at = text + n;
    if (strncmp(text, word, n) != 0) return false;
    if (!take_number(&at, number) || *at || *number == 0)
        cli_die(CLI_USAGE, "--layers: '%s': %s takes a number from 1 on, such as %s2", text, word,
                word);
    return true;
}

void cli_read_layers(const char *text, sqz_squeeze_options *options)
{
    size_t n = 0;
    if (!text || read_rule(text, "first:", &options->layers_first) ||
        read_rule(text, "every:", &options->layers_every))
        return;
    layers = cli_allocate(NULL, (strlen(text) + 1) * sizeof *layers);
    cli_at_end(free_layers);
    options->layers = layers;
    if (strcmp(text, "none") == 0) return;
    for (const char *at = text;; at++) {
        if (!take_number(&at, &layers[n++]) || (*at && *at != ','))
            cli_die(CLI_USAGE,
                    "--layers: '%s' is no list of blocks from 0 on, such as 0,2,3,5 (or none, "
                    "first:3, every:2)",
                    text);
        if (!*at) break;
    }
    options->n_layers = n;
}

void cli_read_embedding(const char *text, sqz_squeeze_options *options)
{
    static const struct {
        const char *word;
        sqz_embedding_form form;
    } words[] = {{"bits:", SQZ_EMBEDDING_KEEP},
                 {"width:", SQZ_EMBEDDING_WIDTH},
                 {"pq:", SQZ_EMBEDDING_PRODUCT}};
    bool has_bits = false;
    for (const char *at = text; at; at = *at == ',' ? at + 1 : NULL) {
        size_t i = 0;
        while (i < 3 && strncmp(at, words[i].word, strlen(words[i].word)) != 0) i++;
        uint32_t number = 0;
        if (i < 3) at += strlen(words[i].word);
        if (i == 3 || !take_number(&at, &number) || !number || (*at && *at != ','))
            cli_die(
                CLI_USAGE,
                "--embedding: '%s' is none of width:96, pq:48, bits:3 and width:96,bits:4 (with "
                "the model's numbers)",
                text);
        if (words[i].form == SQZ_EMBEDDING_KEEP) {
            if (has_bits) cli_die(CLI_USAGE, "--embedding: '%s': bits are said once", text);
            has_bits = true;
            options->embedding_bits = number;
            continue;
        }
        if (options->embedding != SQZ_EMBEDDING_KEEP)
            cli_die(CLI_USAGE, "--embedding: '%s': a table has one form", text);
        options->embedding = words[i].form;
        options->embedding_size = number;
    }
}

uint64_t cli_read_bytes(const char *option, const char *text)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},          {"B", 1},         {"KB", 1000},
                 {"kB", 1000},     {"MB", 1000000},  {"GB", 1000000000},
                 {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    enum { MOST_GIB = 1 << 20 };
    uint64_t whole;
    uint32_t tenths = 0, parts = 1;
    const char *at = text;
    size_t i = 0;
    if (!text) return 0;
    bool read = take_digits(&at, (uint64_t)MOST_GIB << 30, &whole);
    if (read && *at == '.') {
        for (at++; *at >= '0' && *at <= '9' && parts < 1000000; at++, parts *= 10)
            tenths = tenths * 10 + (uint32_t)(*at - '0');
        read = parts > 1;
    }
    while (i < sizeof units / sizeof *units && strcmp(at, units[i].name) != 0) i++;
    const bool known = i < sizeof units / sizeof *units &&
                       whole <= ((uint64_t)MOST_GIB << 30) / units[i].bytes;
    const uint64_t bytes = known ? whole * units[i].bytes + tenths * units[i].bytes / parts : 0;
    if (!read || bytes == 0 || (parts > 1 && units[i].bytes == 1))
        cli_die(CLI_USAGE,
                "--%s: '%s' is no number of bytes: say it as 8.5MB (8,500,000), 7MiB (7 * 2^20), "
                "500KB or 8500000",
                option, text);
    return bytes;
}

void cli_read_min_score(const char *min_score, sqz_compress_options *o)
{
    char *end;
    if (!min_score) return;
    o->relative = strchr(min_score, '%') != NULL;
    if (o->relative && take_share(min_score, &o->min_score)) return;
    o->min_score = strtod(min_score, &end);
    if (end == min_score || *end || !(o->min_score > 0) || !(o->min_score <= 1))
        cli_die(CLI_USAGE,
                "--min-score: '%s' is neither a share of the whole model's score, above 0%% and at "
                "most 100%%, such as 99%%, nor a score above 0 and at most 1, such as 0.86",
                min_score);
}
