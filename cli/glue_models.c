/* SPDX-License-Identifier: Apache-2.0 */
/* Which model does which task of GLUE, and where the task's files are. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "find_model.h"
#include "glue.h"
#include "task_figures.h"

static bool is_file(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && !S_ISDIR(facts.st_mode);
}

/* TASK or TASK:A,B,... behind a model's name. */
static void read_task(cli_glue_model *model, char *text)
{
    char *classes = strchr(text, ':');
    if (classes) *classes++ = '\0';
    model->task = sqz_glue_find(text);
    if (model->task < 0)
        cli_die(CLI_USAGE,
                "%s:%s: there is no task '%s' of GLUE; `squeezebert eval --help` lists them",
                model->path, text, text);
    for (char *word = classes ? strtok(classes, ",") : NULL; word; word = strtok(NULL, ",")) {
        if (model->n_classes == CLI_GLUE_CLASSES)
            cli_die(CLI_USAGE, "%s: over %d class names", model->path, CLI_GLUE_CLASSES);
        model->classes[model->n_classes++] = word;
    }
    if (classes && !model->n_classes)
        cli_die(CLI_USAGE, "%s: class names are missing behind '%s:'", model->path, text);
}

/* A ':' may belong to the file's name: the longest beginning that is a file's name is that; where
 * none is, the shortest one may be the name of a model that ships. */
static void read_argument(cli_glue_model *model, const char *argument)
{
    const size_t n = strlen(argument);
    model->copy = cli_allocate(NULL, n + 1);
    memcpy(model->copy, argument, n + 1);
    model->path = model->copy;
    model->task = -1;
    char *end = model->copy + n;
    while (end && !is_file(model->copy)) {
        if (end < model->copy + n) *end = ':';
        for (end--; end > model->copy && *end != ':'; end--) {}
        if (end <= model->copy) end = NULL;
        else *end = '\0';
    }
    if (!end && (end = strchr(model->copy, ':')) != NULL) {
        *end = '\0';
        model->path = cli_find_model(model->copy);
        *end = model->path == model->copy ? ':' : '\0';
    }
    if (end && end < model->copy + n && !*end) read_task(model, end + 1);
}

sqz_eval_options cli_glue_asked(const cli_glue_model *model, const sqz_task_options *task)
{
    return (sqz_eval_options){.cosine = model->cosine,
                              .classes = model->n_classes ? model->classes : NULL,
                              .n_classes = model->n_classes,
                              .task = task};
}

const char *cli_glue_rows_of(const cli_glue_part *part, const char *split)
{
    static char text[60];
    snprintf(text, sizeof text, "examples of %s's %s", part->part->name, split);
    return text;
}

enum { LABEL_ROOM = 48 }; /* of a label of 30 bytes, or of dots */

static void list_labels(const sqz_model *model, char *to, size_t room)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    size_t used = 0;
    if (info->head != SQZ_HEAD_SEQUENCE) {
        snprintf(to, room, "its head is %s", sqz_head_name(info->head));
        return;
    }
    used = (size_t)snprintf(to, room, "its classes are ");
    for (uint32_t k = 0; k < info->n_labels; k++) {
        if (room - used < LABEL_ROOM) {
            snprintf(to + used, room - used, ", ...");
            return;
        }
        used += (size_t)snprintf(to + used, room - used, "%s'%.30s'", k ? ", " : "",
                                 sqz_model_label(model, k));
    }
}

/* Which task, and can it be done? Before anything takes long. */
static void look_at(cli_glue_model *model)
{
    sqz_error error = {0};
    sqz_model *opened;
    char labels[300];
    cli_refuse_folder(model->path);
    cli_check(sqz_model_open(cli_context(), model->path, &opened, &error), &error);
    const sqz_model_info *info = sqz_model_get_info(opened);
    list_labels(opened, labels, sizeof labels);
    if (model->task < 0) model->task = sqz_glue_task_of(opened);
    if (model->task < 0 && info->head == SQZ_HEAD_NONE) model->task = SQZ_GLUE_STSB;
    if (model->task < 0)
        cli_die(CLI_USAGE,
                "%s: does not say which task of GLUE it has learned (%s): name it, as in %s:sst2",
                model->path, labels, model->path);
    model->bytes = info->file_bytes;
    model->cosine = model->task == SQZ_GLUE_STSB && info->head == SQZ_HEAD_NONE;
    const sqz_eval_options asked = cli_glue_asked(model, NULL);
    const sqz_status status = sqz_glue_fits(opened, (sqz_glue_task)model->task, &asked, &error);
    if (status != SQZ_OK) cli_die(cli_code(status), "%s: %s", model->path, error.text);
    cli_say_reordered(opened, model->path, model->classes, model->n_classes);
    sqz_model_close(opened);
}

/* AX is done by MNLI's model, where none is named for it. */
static const cli_glue_model *model_of(const cli_glue *glue, sqz_glue_task task)
{
    for (uint32_t m = 0; m < glue->n_models; m++)
        if (glue->models[m].task == (int)task) return &glue->models[m];
    return task == SQZ_GLUE_AX ? model_of(glue, SQZ_GLUE_MNLI) : NULL;
}

/* Folders by their names, in any of the tasks' spellings. */
static void find_folders(cli_glue *glue)
{
    DIR *folder = opendir(glue->data);
    if (!folder)
        cli_die(CLI_BAD_FILE,
                "%s: is no folder that can be read: --data is the one that holds "
                "the tasks' folders, CoLA, SST-2 and so on",
                glue->data);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const int task = sqz_glue_find(entry->d_name);
        if (task < 0) continue;
        char *path = cli_allocate(NULL, strlen(glue->data) + strlen(entry->d_name) + 2);
        sprintf(path, "%s/%s", glue->data, entry->d_name);
        if (glue->folders[task])
            cli_die(CLI_BAD_FILE, "%s and %s: both are folders of the same task", path,
                    glue->folders[task]);
        glue->folders[task] = path;
    }
    (void)closedir(folder);
}

/* AX as most people have it is without labels. */
static bool is_labelled(const cli_glue_part *p)
{
    sqz_error error = {0};
    sqz_glue *file;
    if (p->part->task != SQZ_GLUE_AX) return true;
    cli_check(sqz_glue_open(cli_context(), p->part->task, p->folder, p->part->dev, NULL, &file,
                            &error),
              &error);
    const bool labelled = sqz_glue_labelled(file);
    sqz_glue_close(file);
    return labelled;
}

static void find_parts(cli_glue *glue)
{
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) {
        cli_glue_part *p = &glue->parts[i];
        p->part = sqz_glue_part_at(i);
        p->model = model_of(glue, p->part->task);
        p->folder = glue->folders[p->part->task];
        if (!p->model || !p->folder) {
            p->no_figures = p->no_answers = p->model ? "no folder" : "no model";
            continue;
        }
        if (!cli_has_split(p->folder, p->part->dev)) p->no_figures = "no dev file";
        else if (!is_labelled(p)) p->no_figures = "no labels";
        if (!cli_has_split(p->folder, p->part->test)) p->no_answers = "no test file";
    }
}

void cli_glue_open(cli_glue *glue, char **arguments, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        cli_glue_model *model = &glue->models[i];
        read_argument(model, arguments[i]);
        look_at(model);
        for (uint32_t k = 0; k < i; k++)
            if (glue->models[k].task == model->task)
                cli_die(CLI_USAGE, "%s and %s: both are for %s: one model a task",
                        glue->models[k].path, model->path,
                        sqz_glue_name((sqz_glue_task)model->task));
        glue->n_models++;
    }
    find_folders(glue);
    find_parts(glue);
}

void cli_glue_close(cli_glue *glue)
{
    for (uint32_t m = 0; m < glue->n_models; m++) free(glue->models[m].copy);
    for (int t = 0; t < CLI_GLUE_TASKS; t++) free(glue->folders[t]);
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) free(glue->parts[i].answers);
}
