/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs: names, permissions, links, what is never replaced, and what a signal's handler removes.
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file_writer.h"
#include "base/temporaries.h"
#include "export/folder_writer.h"
#include "support/test.h"
#include "support/tiny_model.h"

/* An empty folder of the test's own, and names in it. */
static const char *fresh_folder(void)
{
    static int n;
    static char folder[256];
    char name[32];
    snprintf(name, sizeof name, "outputs%d", n++);
    snprintf(folder, sizeof folder, "%s", sqzt_temporary(name));
    assert_int_equal(mkdir(folder, 0700), 0);
    return folder;
}

static const char *in(const char *folder, const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ & 3];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static unsigned count(const char *folder)
{
    unsigned n = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    while (readdir(entries)) n++;
    closedir(entries);
    return n - 2;
}

static void put_file(const char *path, const char *text)
{
    sqz_error error = {0};
    sqz_output *output = NULL;
    sqzt_assert_ok(sqz_output_open(NULL, path, SQZ_OUTPUT_FILE, &output, &error), &error);
    assert_true(sqz_output_is_file(output));
    assert_true(fputs(text, sqz_output_stream(output)) >= 0);
    sqzt_assert_ok(sqz_output_commit(output, &error), &error);
    sqz_output_close(output);
}

static void assert_holds(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(found, 1, sizeof found - 1, file) == strlen(text));
    fclose(file);
    assert_string_equal(found, text);
}

static void there_is_the_old_file_or_the_new_one(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_file_writer writer;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    put_file(path, "old");
    sqzt_assert_ok(sqzi_file_writer_open(path, &writer, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_put(&writer, "new", 3, &error), &error);
    assert_int_equal(count(folder), 2);
    assert_holds(path, "old");
    sqzi_file_writer_discard(&writer);
    assert_int_equal(count(folder), 1);
    assert_holds(path, "old");
    put_file(path, "newer");
    assert_int_equal(count(folder), 1);
    assert_holds(path, "newer");
}

static void two_writers_of_one_name_do_not_meet(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_file_writer first, second;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    sqzt_assert_ok(sqzi_file_writer_open(path, &first, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_open(path, &second, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_put(&first, "first", 5, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_put(&second, "second", 6, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_commit(&second, &error), &error);
    assert_holds(path, "second");
    sqzt_assert_ok(sqzi_file_writer_commit(&first, &error), &error);
    assert_holds(path, "first");
    assert_int_equal(count(folder), 1);
}

static void what_was_put_can_be_read_and_changed_before_the_commit(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_file_writer writer;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    sqzt_assert_ok(sqzi_file_writer_open(path, &writer, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_put(&writer, "abcd", 4, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_flush(&writer, &error), &error);
    assert_holds(writer.temporary, "abcd");
    sqzt_assert_ok(sqzi_file_writer_put_at(&writer, 1, "XY", 2, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_put(&writer, "e", 1, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_commit(&writer, &error), &error);
    assert_holds(path, "aXYde");
}

static mode_t mode_of(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    return facts.st_mode & 07777;
}

static void permissions_are_those_of_the_old_file_or_the_umask(void **state)
{
    (void)state;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    const mode_t mask = umask(027);
    put_file(path, "1");
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(chmod(path, 0604), 0);
    put_file(path, "2");
    assert_int_equal(mode_of(path), 0604);
    (void)umask(mask);
}

static void links_stay_and_their_files_are_replaced(void **state)
{
    (void)state;
    struct stat facts;
    const char *folder = fresh_folder();
    assert_int_equal(mkdir(in(folder, "store"), 0700), 0);
    assert_int_equal(symlink("store/file", in(folder, "one")), 0);
    assert_int_equal(symlink("one", in(folder, "two")), 0);
    put_file(in(folder, "two"), "made"); /* leads nowhere yet */
    put_file(in(folder, "two"), "replaced");
    assert_holds(in(folder, "store/file"), "replaced");
    assert_int_equal(lstat(in(folder, "two"), &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_int_equal(lstat(in(folder, "one"), &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_int_equal(count(folder), 3);
    assert_int_equal(count(in(folder, "store")), 1);
}

static void assert_refused(const char *path, sqz_output_kind kind, sqz_status wanted,
                           const char *part)
{
    sqz_error error = {0};
    sqz_output *output = NULL;
    sqzt_assert_fails(sqz_output_open(NULL, path, kind, &output, &error), wanted, &error, part);
    assert_null(output);
}

static void what_cannot_be_written_is_said(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    char longest[300];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    put_file(in(folder, "file"), "text");
    assert_int_equal(symlink("loop", in(folder, "loop")), 0);
    assert_int_equal(mkfifo(in(folder, "pipe"), 0600), 0);
    assert_refused("", SQZ_OUTPUT_ANY, SQZ_EINVAL, "is empty");
    assert_refused(folder, SQZ_OUTPUT_ANY, SQZ_EOUTPUT, "it is a folder");
    assert_refused(in(folder, "new/"), SQZ_OUTPUT_ANY, SQZ_EOUTPUT, "it is a folder");
    assert_refused(in(folder, "no/such"), SQZ_OUTPUT_ANY, SQZ_EOUTPUT, "there is no folder");
    assert_refused(in(folder, "file/a"), SQZ_OUTPUT_ANY, SQZ_EOUTPUT, "there is no folder");
    assert_refused(in(folder, "loop"), SQZ_OUTPUT_ANY, SQZ_EOUTPUT, strerror(ELOOP));
    assert_refused(in(folder, longest), SQZ_OUTPUT_ANY, SQZ_EOUTPUT, strerror(ENAMETOOLONG));
    assert_refused(in(folder, "pipe"), SQZ_OUTPUT_FILE, SQZ_EOUTPUT, "no file but a device");
    assert_refused("-", SQZ_OUTPUT_FILE, SQZ_EOUTPUT, "no file but a device");
    assert_refused("/dev/fd/1019", SQZ_OUTPUT_ANY, SQZ_EOUTPUT, strerror(EBADF));
    assert_int_equal(count(folder), 3);
}

static void *no_memory(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    (void)bytes;
    (void)alignment;
    return NULL;
}

static void missing_arguments_and_missing_memory_are_told(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_output *output = NULL;
    const sqz_allocator none = {.allocate = no_memory};
    const char *folder = fresh_folder(), *path = in(folder, "a");
    assert_int_equal(sqz_output_open(NULL, NULL, SQZ_OUTPUT_FILE, &output, &error), SQZ_EINVAL);
    assert_int_equal(sqz_output_open(NULL, path, SQZ_OUTPUT_FILE, NULL, &error), SQZ_EINVAL);
    assert_int_equal(sqz_output_open(NULL, path, (sqz_output_kind)2, &output, &error), SQZ_EINVAL);
    assert_int_equal(sqz_output_commit(NULL, &error), SQZ_EINVAL);
    sqzt_assert_fails(sqz_output_open(&none, path, SQZ_OUTPUT_FILE, &output, &error), SQZ_ENOMEM,
                      &error, path);
    assert_null(output);
    sqz_output_close(NULL);
    assert_int_equal(count(folder), 0);
}

static void the_longest_name_that_a_file_can_have_is_written(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    char longest[256];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    put_file(in(folder, longest), "text");
    assert_holds(in(folder, longest), "text");
}

static void a_file_that_may_not_be_written_is_not_replaced(void **state)
{
    (void)state;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    put_file(path, "kept");
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(chmod(in(folder, ".."), 0711), 0);
    const pid_t child = fork(); /* root may write everything */
    if (child == 0) {
        sqz_error error = {0};
        sqz_output *output = NULL;
        if (geteuid() == 0 && seteuid(65534) != 0) _exit(77);
        const int refused = sqz_output_open(NULL, path, SQZ_OUTPUT_ANY, &output, &error) ==
                            SQZ_EOUTPUT;
        _exit(refused && strstr(error.text, strerror(EACCES)) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_limit_of_file_sizes_is_a_lack_of_room(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_output *output = NULL;
    struct rlimit before;
    const char *folder = fresh_folder(), *path = in(folder, "a");
    put_file(path, "old");
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    sqzt_assert_ok(sqz_output_open(NULL, path, SQZ_OUTPUT_FILE, &output, &error), &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE,
                               &(struct rlimit){.rlim_cur = 8192, .rlim_max = before.rlim_max}),
                     0);
    for (int i = 0; i < 9000; i++) putc('x', sqz_output_stream(output)); /* nobody looks */
    const sqz_status status = sqz_output_commit(output, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    sqz_output_close(output);
    sqzt_assert_fails(status, SQZ_ERESOURCE, &error, path);
    assert_null(strstr(error.text, ".tmp"));
    assert_holds(path, "old");
    assert_int_equal(count(folder), 1);
}

static void pipes_and_descriptors_are_written_straight(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_output *output = NULL;
    char text[8] = "", name[32];
    struct stat facts;
    const char *path = in(fresh_folder(), "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    sqzt_assert_ok(sqz_output_open(NULL, path, SQZ_OUTPUT_ANY, &output, &error), &error);
    assert_false(sqz_output_is_file(output));
    fputs("pipe", sqz_output_stream(output));
    sqzt_assert_ok(sqz_output_commit(output, &error), &error);
    sqz_output_close(output);
    assert_int_equal(read(reader, text, sizeof text - 1), 4);
    assert_string_equal(text, "pipe");
    close(reader);
    assert_int_equal(stat(path, &facts), 0);
    assert_true(S_ISFIFO(facts.st_mode));
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
    sqzt_assert_ok(sqz_output_open(NULL, name, SQZ_OUTPUT_ANY, &output, &error), &error);
    fputs("open", sqz_output_stream(output));
    sqzt_assert_ok(sqz_output_commit(output, &error), &error);
    sqz_output_close(output);
    assert_int_equal(read(ends[0], text, sizeof text - 1), 4);
    assert_string_equal(text, "open");
    assert_int_equal(fcntl(ends[1], F_GETFD) & FD_CLOEXEC, 0); /* still open */
    close(ends[0]);
    close(ends[1]);
}

static void a_handler_removes_files_and_folders(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_file_writer file, inside, kept;
    sqzi_folder_writer folder;
    const char *place = fresh_folder();
    sqzt_assert_ok(sqzi_file_writer_open(in(place, "a"), &file, &error), &error);
    sqzt_assert_ok(sqzi_folder_writer_open(in(place, "b/"), &folder, &error), &error);
    sqzt_assert_ok(sqzi_folder_writer_file(&folder, "done", &inside, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_commit(&inside, &error), &error);
    sqzt_assert_ok(sqzi_folder_writer_file(&folder, "part/open", &inside, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_open(in(place, "kept"), &kept, &error), &error);
    sqzt_assert_ok(sqzi_file_writer_commit(&kept, &error), &error);
    assert_int_equal(count(place), 3);
    const pid_t child = fork(); /* has the table, and removes nothing */
    if (child == 0) {
        sqz_remove_temporaries();
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(count(place), 3);
    sqz_remove_temporaries();
    assert_int_equal(count(place), 1);
    sqzt_assert_fails(sqzi_file_writer_commit(&file, &error), SQZ_EOUTPUT, &error, "/a");
    sqzi_file_writer_discard(&inside);
    sqzt_assert_fails(sqzi_folder_writer_commit(&folder, &error), SQZ_EOUTPUT, &error, "/b");
    sqzi_folder_writer_discard(&folder);
    assert_int_equal(count(place), 1);
}

static void folders_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_file_writer file;
    sqzi_folder_writer folder;
    const char *place = fresh_folder();
    for (int commit = 0; commit < 2; commit++) {
        sqzt_assert_ok(sqzi_folder_writer_open(in(place, "new"), &folder, &error), &error);
        sqzt_assert_ok(sqzi_folder_writer_file(&folder, "part/a", &file, &error), &error);
        sqzt_assert_ok(sqzi_file_writer_commit(&file, &error), &error);
        sqzt_assert_ok(sqzi_folder_writer_file(&folder, "part/b", &file, &error), &error);
        sqzt_assert_ok(sqzi_file_writer_commit(&file, &error), &error);
        assert_int_not_equal(access(in(place, "new"), F_OK), 0);
        if (commit) sqzt_assert_ok(sqzi_folder_writer_commit(&folder, &error), &error);
        sqzi_folder_writer_discard(&folder);
        assert_int_equal(count(place), commit);
    }
    assert_int_equal(count(in(place, "new/part")), 2);
}

static atomic_int done;

static void *write_files(void *path)
{
    for (int i = 0; i < 200; i++) {
        sqz_error error = {0};
        sqzi_file_writer writer;
        if (sqzi_file_writer_open(path, &writer, &error) != SQZ_OK) break;
        if (sqzi_file_writer_put(&writer, "x", 1, &error) != SQZ_OK) break;
        if (i & 1) sqzi_file_writer_discard(&writer);
        else if (sqzi_file_writer_commit(&writer, &error) != SQZ_OK) continue; /* removed */
    }
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void threads_write_while_a_handler_removes(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    const char *folder = fresh_folder();
    char *path = (char *)(uintptr_t)in(folder, "same");
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, write_files, path), 0);
    while (atomic_load(&done) < THREADS) sqz_remove_temporaries();
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    assert_true(count(folder) <= 1);
    int slots[SQZ_MAX_TEMPORARIES]; /* every slot is free again, and no more */
    for (int i = 0; i < SQZ_MAX_TEMPORARIES; i++)
        assert_true((slots[i] = sqzi_temporary_add(AT_FDCWD, "/no/such", false)) >= 0);
    assert_int_equal(sqzi_temporary_add(AT_FDCWD, "/no/such", false), -1);
    sqz_remove_temporaries();
    for (int i = 0; i < SQZ_MAX_TEMPORARIES; i++) sqzi_temporary_forget(slots[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_the_old_file_or_the_new_one),
        cmocka_unit_test(two_writers_of_one_name_do_not_meet),
        cmocka_unit_test(what_was_put_can_be_read_and_changed_before_the_commit),
        cmocka_unit_test(permissions_are_those_of_the_old_file_or_the_umask),
        cmocka_unit_test(links_stay_and_their_files_are_replaced),
        cmocka_unit_test(what_cannot_be_written_is_said),
        cmocka_unit_test(missing_arguments_and_missing_memory_are_told),
        cmocka_unit_test(the_longest_name_that_a_file_can_have_is_written),
        cmocka_unit_test(a_file_that_may_not_be_written_is_not_replaced),
        cmocka_unit_test(a_limit_of_file_sizes_is_a_lack_of_room),
        cmocka_unit_test(pipes_and_descriptors_are_written_straight),
        cmocka_unit_test(a_handler_removes_files_and_folders),
        cmocka_unit_test(folders_appear_whole_or_not_at_all),
        cmocka_unit_test(threads_write_while_a_handler_removes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
