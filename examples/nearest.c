/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings and search: the lines of a file nearest in meaning to a question.
 *
 *   nearest MODEL FILE QUESTION
 *
 * Prints the three best lines with their cosines. The index holds one unit vector a line; a search
 * reads it once, which is fast up to some hundred thousand lines. */
#define _POSIX_C_SOURCE 200809L /* getline */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/task.h>

enum { BEST = 3 };

static struct {
    sqz_context *context;
    sqz_model *model;
    sqz_task *task;
    sqz_index *index;
    char **lines;
} search;

static int embed(const char *text, sqz_role role, const float **vector, uint32_t *dimensions,
                 sqz_error *error)
{
    const sqz_input input = {.text = {text, strlen(text)}};
    const sqz_embed_text_options options = {.prompt = sqz_model_role_prompt(search.model, role)};
    sqz_embedding result;
    if (sqz_embed_texts(search.task, &input, 1, &options, &result, error)) return 1;
    if (result.outcome.status) {
        snprintf(error->text, sizeof error->text, "%s", result.outcome.text);
        return 1;
    }
    *vector = result.vectors;
    *dimensions = result.dimensions;
    return 0;
}

static int add_line(char *line, sqz_error *error)
{
    const float *vector;
    uint32_t dimensions;
    if (embed(line, SQZ_ROLE_PASSAGE, &vector, &dimensions, error)) return 1;
    if (!search.index &&
        sqz_index_open(search.context, dimensions, sqz_model_get_info(search.model)->similarity,
                       &search.index, error))
        return 1;
    const uint64_t n = sqz_index_rows(search.index);
    char **more = realloc(search.lines, (size_t)(n + 1) * sizeof *more);
    if (more) search.lines = more;
    if (!more || !(more[n] = strdup(line))) {
        snprintf(error->text, sizeof error->text, "no memory for %s", line);
        return 1;
    }
    return sqz_index_add(search.index, vector, 1, error) != SQZ_OK;
}

static int add_file(const char *path, sqz_error *error)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int failed = !file;
    if (!file) snprintf(error->text, sizeof error->text, "cannot open %s", path);
    for (ssize_t n; !failed && (n = getline(&line, &room, file)) > 0;) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0]) failed = add_line(line, error);
    }
    free(line);
    if (file) fclose(file);
    return failed;
}

static int ask(const char *question, sqz_error *error)
{
    const float *vector;
    uint32_t dimensions;
    sqz_hit hits[BEST];
    if (!search.index || embed(question, SQZ_ROLE_QUERY, &vector, &dimensions, error)) return 1;
    const uint32_t n = sqz_index_search(search.index, vector, BEST, hits);
    for (uint32_t i = 0; i < n; i++)
        printf("%.3f  %s\n", (double)hits[i].score, search.lines[hits[i].row]);
    return 0;
}

int main(int n, char **arguments)
{
    if (n != 4) {
        fputs("usage: nearest MODEL FILE QUESTION\n", stderr);
        return 2;
    }
    sqz_error error = {.text = "the file holds no line"};
    const int failed = sqz_context_open(NULL, &search.context, &error) ||
                       sqz_model_open(search.context, arguments[1], &search.model, &error) ||
                       sqz_task_open(search.model, NULL, &search.task, &error) ||
                       add_file(arguments[2], &error) || ask(arguments[3], &error);
    if (failed) fprintf(stderr, "nearest: %s\n", error.text);
    for (uint64_t i = 0; search.index && i < sqz_index_rows(search.index); i++)
        free(search.lines[i]);
    free(search.lines);
    sqz_index_close(search.index);
    sqz_task_close(search.task);
    sqz_model_close(search.model);
    sqz_context_close(search.context);
    return failed;
}
