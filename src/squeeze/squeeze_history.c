/* SPDX-License-Identifier: Apache-2.0 */
/* Options as the program takes them. */
#include "squeeze/squeeze_history.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* What does not fit is cut off. */
static void add(char line[SQZI_HISTORY_TEXT], size_t *used, const char *format, ...)
    SQZI_PRINTF(3, 4);
static void add(char line[SQZI_HISTORY_TEXT], size_t *used, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    const int n = vsnprintf(line + *used, SQZI_HISTORY_TEXT - *used, format, rest);
    va_end(rest);
    if (n > 0) *used += (size_t)n;
    if (*used > SQZI_HISTORY_TEXT - 1) *used = SQZI_HISTORY_TEXT - 1;
}

/* A share in per cent, with as many of three digits behind the point as it has. */
static void add_share(char line[SQZI_HISTORY_TEXT], size_t *used, const char *option, double share)
{
    const unsigned thousandths = (unsigned)lrint(share * 100000);
    unsigned rest = thousandths % 1000, digits = 3;
    if (!(share > 0)) return;
    for (; rest && rest % 10 == 0; rest /= 10) digits--;
    if (rest) add(line, used, " --%s %u.%0*u%%", option, thousandths / 1000, (int)digits, rest);
    else add(line, used, " --%s %u%%", option, thousandths / 1000);
}

static void add_embedding(char line[SQZI_HISTORY_TEXT], size_t *used, const sqz_squeeze_options *o)
{
    static const char *const forms[] = {"", "width", "pq"};
    const bool sized = o->embedding != SQZ_EMBEDDING_KEEP;
    if (sized) add(line, used, " --embedding %s:%u", forms[o->embedding], o->embedding_size);
    if (o->embedding_bits)
        add(line, used, "%sbits:%u", sized ? "," : " --embedding ", o->embedding_bits);
}

void sqzi_squeeze_history(const char *verb, const sqz_squeeze_options *o, uint32_t n_texts,
                          uint32_t n_pieces, char line[SQZI_HISTORY_TEXT])
{
    size_t used = 0;
    add(line, &used, "%.400s", verb);
    if (o->n_vocabulary) add(line, &used, " --vocabulary of %zu texts", o->n_vocabulary);
    if (o->drop_impossible) add(line, &used, " --drop-impossible");
    if (o->layers && o->n_layers == 0) add(line, &used, " --layers none");
    for (size_t i = 0; o->layers && i < o->n_layers; i++)
        add(line, &used, "%s%u", i ? "," : " --layers ", o->layers[i]);
    if (o->static_width) add(line, &used, " --width %u", o->static_width);
    if (o->layers_first) add(line, &used, " --layers first:%u", o->layers_first);
    if (o->layers_every) add(line, &used, " --layers every:%u", o->layers_every);
    add_share(line, &used, "heads", o->heads);
    add_share(line, &used, "neurons", o->neurons);
    if (o->groups > 1) add(line, &used, " --groups %u", o->groups);
    if (o->groups > 1 && o->dense_output) add(line, &used, " --dense-output");
    add_share(line, &used, "rank", o->rank);
    if (o->ranks) add(line, &used, " --ranks %.300s", o->ranks);
    add_embedding(line, &used, o);
    if (o->position_bits) add(line, &used, " --positions %u", o->position_bits);
    if (o->bits) add(line, &used, " --bits %u", o->bits);
    if (o->keep_pooler) add(line, &used, " --keep-pooler");
    if (o->budget) add(line, &used, " --budget %" PRIu64, o->budget);
    add_share(line, &used, "time", o->time);
    if (o->at_batch || o->at_length) add(line, &used, " --at %ux%u", o->at_batch, o->at_length);
    if (o->depth) add(line, &used, " --depth %u", o->depth);
    if (o->whole_texts) add(line, &used, " --whole-texts");
    if (o->plain) add(line, &used, " --plain");
    if (n_texts)
        add(line, &used, ", calibrated on %u %s of %u pieces", n_texts,
            o->whole_texts ? "texts" : "sentences", n_pieces);
}

void sqzi_squeeze_history_add(char line[SQZI_HISTORY_TEXT], const char *more)
{
    size_t used = strlen(line);
    add(line, &used, "%s", more);
}
