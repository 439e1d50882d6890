/* SPDX-License-Identifier: Apache-2.0 */
/* The words in which a distillation is described, read into the library's recipe. */
#include "distill.h"

#include <stdlib.h>
#include <string.h>

/* The losses of a word; relations are three. */
static uint32_t losses_of(const char *name, sqz_distil_loss to[3])
{
    if (strcmp(name, "relations") == 0) {
        to[0] = SQZ_DISTIL_QUERIES;
        to[1] = SQZ_DISTIL_KEYS;
        to[2] = SQZ_DISTIL_VALUES;
        return 3;
    }
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++)
        if (strcmp(sqz_distil_loss_name((sqz_distil_loss)i), name) == 0) {
            to[0] = (sqz_distil_loss)i;
            return 1;
        }
    return 0;
}

void cli_read_losses(const char *text, sqz_distil_recipe *recipe)
{
    char *copy = cli_allocate(NULL, strlen(text) + 1), *end;
    strcpy(copy, text);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        sqz_distil_loss losses[3];
        char *colon = strchr(word, ':');
        const double weight = colon ? strtod(colon + 1, &end) : 1;
        if (colon && (!colon[1] || *end || !(weight > 0) || weight > 1e6))
            cli_die(CLI_USAGE, "--loss: a weight above 0 is expected behind the colon, not %s",
                    colon + 1);
        if (colon) *colon = '\0';
        const uint32_t n = losses_of(word, losses);
        if (!n)
            cli_die(CLI_USAGE,
                    "--loss: there is no loss '%s': labels, logits, soft, logits_mse, hidden, "
                    "attention, queries, keys, values, relations, pooled, pooled_mse, similarities",
                    word);
        for (uint32_t i = 0; i < n; i++) {
            if (recipe->weights[losses[i]] > 0)
                cli_die(CLI_USAGE, "--loss names '%s' twice", sqz_distil_loss_name(losses[i]));
            recipe->weights[losses[i]] = weight;
        }
    }
    free(copy);
}

/* Settings of losses that are not there would be skipped in silence. */
void cli_check_distillation(const sqz_distil_recipe *r, bool labelled)
{
    const double *w = r->weights;
    const bool relations = w[SQZ_DISTIL_QUERIES] > 0 || w[SQZ_DISTIL_KEYS] > 0 ||
                           w[SQZ_DISTIL_VALUES] > 0;
    const bool layers = w[SQZ_DISTIL_HIDDEN] > 0 || w[SQZ_DISTIL_ATTENTION] > 0;
    if (w[SQZ_DISTIL_LABELS] > 0 && !labelled)
        cli_die(CLI_USAGE, "--loss labels: texts have none; labelled rows come with --data");
    if (r->temperature > 0 && !(w[SQZ_DISTIL_LOGITS] > 0) && !(w[SQZ_DISTIL_SOFT] > 0))
        cli_die(CLI_USAGE, "--temperature is for the losses logits and soft: --loss has neither");
    if ((r->relation_heads || r->relation_layer) && !relations)
        cli_die(CLI_USAGE, "--relation-heads and --relation-layer are for the losses queries, "
                           "keys and values: --loss has none of them");
    if (cli_teaching.map && !layers)
        cli_die(CLI_USAGE, "--map is for the losses hidden and attention: --loss has neither");
}

void cli_choose_losses_apart(sqz_distil_recipe *recipe, bool labelled)
{
    for (uint32_t i = SQZ_DISTIL_HIDDEN; i <= SQZ_DISTIL_VALUES; i++) {
        if (cli_teaching.losses && recipe->weights[i] > 0)
            cli_die(CLI_USAGE,
                    "--loss %s compares what stands at each piece, and the teacher's vocabulary is "
                    "another: logits, soft, logits_mse, pooled, pooled_mse and similarities can be "
                    "learned of it",
                    sqz_distil_loss_name((sqz_distil_loss)i));
        recipe->weights[i] = 0;
    }
    cli_check_distillation(recipe, labelled);
}

uint32_t *cli_read_map(const char *text, sqz_distil_recipe *recipe)
{
    uint32_t *layers, n = 1;
    recipe->map = SQZ_DISTIL_UNIFORM;
    if (!text || strcmp(text, "uniform") == 0) return NULL;
    recipe->map = SQZ_DISTIL_LAST;
    if (strcmp(text, "last") == 0) return NULL;
    recipe->map = SQZ_DISTIL_EXPLICIT;
    for (const char *at = text; *at; at++) n += *at == ',';
    layers = cli_allocate(NULL, n * sizeof *layers);
    for (uint32_t i = 0; i < n; i++) {
        char *end;
        const unsigned long layer = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (!layer || layer > 1u << 20 || *end != (i + 1 < n ? ',' : '\0'))
            cli_die(CLI_USAGE,
                    "--map is uniform, last, or a layer of the teacher, from 1, for each block of "
                    "the student: 2,3,5,6");
        layers[i] = (uint32_t)layer;
        text = end + 1;
    }
    recipe->layers = layers;
    recipe->n_layers = n;
    return layers;
}
