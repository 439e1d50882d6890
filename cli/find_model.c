/* SPDX-License-Identifier: Apache-2.0 */
/* Models by name: NAME is NAME.gguf in the folders that ship some. What is a file is that file. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "find_model.h"

enum { MOST_FOLDERS = 3 };

static char *folders[MOST_FOLDERS];
static uint32_t n_folders;
static cli_shipped *found;
static uint32_t n_found, room;
static bool searched;

/* ---- texts that live until the program ends ---- */

static char *join(const char *folder, const char *between, const char *name, const char *end)
{
    const size_t n = strlen(folder) + strlen(between) + strlen(name) + strlen(end) + 1;
    char *joined = cli_allocate(NULL, n);
    snprintf(joined, n, "%s%s%s%s", folder, between, name, end);
    return joined;
}

static void forget(void)
{
    while (n_folders) free(folders[--n_folders]);
    while (n_found) {
        free(found[--n_found].name);
        free(found[n_found].path);
    }
    free(found);
    found = NULL;
    room = 0;
    searched = false;
}

/* ---- where models are ---- */

/* The folder of the running program; false where the system does not tell. */
static bool find_program(char *folder, size_t bytes)
{
    const ssize_t n = readlink("/proc/self/exe", folder, bytes);
    if (n <= 0 || (size_t)n >= bytes) return false;
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

/* CLI_SHARED_MODELS: of an installed program, from its folder to the shared one. */
static void find_folders(void)
{
    char program[PATH_MAX];
    const char *own = getenv("SQUEEZEBERT_MODELS");
    if (own && *own) folders[n_folders++] = join(own, "", "", "");
    if (!find_program(program, sizeof program)) return;
    folders[n_folders++] = join(program, "/", "models", "");
    folders[n_folders++] = join(program, "/", CLI_SHARED_MODELS, "");
}

/* A name as models have it, n bytes long: what has a dot or a slash is a path. */
static bool is_plain(const char *name, size_t n)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return n > 0 && strspn(name, letters) >= n;
}

static const cli_shipped *find_name(const char *name, size_t n)
{
    for (uint32_t i = 0; i < n_found; i++)
        if (strlen(found[i].name) == n && strncmp(found[i].name, name, n) == 0) return &found[i];
    return NULL;
}

static void read_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    if (!directory) return;
    for (const struct dirent *e; (e = readdir(directory));) {
        const size_t n = strlen(e->d_name), end = strlen(".gguf");
        if (n <= end || strcmp(e->d_name + n - end, ".gguf") != 0) continue;
        if (!is_plain(e->d_name, n - end) || find_name(e->d_name, n - end)) continue;
        if (n_found == room) {
            room = room ? 2 * room : 16;
            found = cli_allocate(found, room * sizeof *found);
        }
        cli_shipped *m = &found[n_found++];
        m->path = join(folder, "/", e->d_name, "");
        m->name = join("", "", e->d_name, "");
        m->name[n - end] = '\0';
    }
    closedir(directory);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const cli_shipped *)a)->name, ((const cli_shipped *)b)->name);
}

const cli_shipped *cli_shipped_models(uint32_t *n)
{
    if (!searched) {
        searched = true;
        cli_at_end(forget);
        find_folders();
        for (uint32_t i = 0; i < n_folders; i++) read_folder(folders[i]);
        if (n_found) qsort(found, n_found, sizeof *found, by_name);
    }
    *n = n_found;
    return found;
}

const char *cli_shipped_model(const char *name)
{
    uint32_t n;
    (void)cli_shipped_models(&n);
    const cli_shipped *m = find_name(name, strlen(name));
    return m ? m->path : NULL;
}

/* ---- words about it ---- */

static char *append(char *list, const char *between, const char *text)
{
    char *longer = list ? join(list, between, text, "") : join(text, "", "", "");
    free(list);
    return longer;
}

char *cli_shipped_names(void)
{
    uint32_t n;
    char *list = NULL;
    const cli_shipped *models = cli_shipped_models(&n);
    for (uint32_t i = 0; i < n; i++) list = append(list, ", ", models[i].name);
    return list;
}

char *cli_shipped_folders(void)
{
    uint32_t n;
    char *list = NULL;
    (void)cli_shipped_models(&n);
    for (uint32_t i = 0; i < n_folders; i++) list = append(list, ", ", folders[i]);
    return list ? list : append(NULL, "", "no folder: set SQUEEZEBERT_MODELS to one");
}

static _Noreturn void die_unknown(const char *name)
{
    char *names = cli_shipped_names(), *where = cli_shipped_folders();
    char text[4096];
    snprintf(text, sizeof text,
             "%s: there is no such file, and no model of that name; %s%s "
             "(looked in %s)",
             name, names ? "models with a name are " : "no model has one", names ? names : "",
             where);
    free(names);
    free(where);
    cli_die(CLI_BAD_FILE, "%s", text);
}

bool cli_takes_models(const cli_verb *verb)
{
    static const char *const words[] = {"MODEL", "[MODEL]", "MODEL...",
                                        "BASE",  "TEACHER", "MODEL[:TASK[:A,B,...]]..."};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(verb->arguments, words[i]) == 0) return true;
    return false;
}

/* A folder that holds no model, such as one of data, is in no model's way. */
static bool is_other_folder(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISDIR(facts.st_mode)) return false;
    char *config = join(path, "/", "config.json", "");
    const bool holds_model = stat(config, &facts) == 0;
    free(config);
    return !holds_model;
}

const char *cli_find_model(const char *text)
{
    struct stat facts;
    if (!is_plain(text, strlen(text))) return text;
    if (is_other_folder(text) && cli_shipped_model(text)) return cli_shipped_model(text);
    if (lstat(text, &facts) == 0 || errno != ENOENT) return text;
    const char *path = cli_shipped_model(text);
    if (!path) die_unknown(text);
    return path;
}
