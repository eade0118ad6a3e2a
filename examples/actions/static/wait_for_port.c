/* example/wait_for_port: waits until a TCP port takes connections. One static program, without kubernaut's runner. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BAD_INPUTS = 64, NOT_AS_IT_SHOULD_BE = 66, TERMINATED = 143 };
enum { MOST_INPUTS = 1 << 16, TRY_MILLISECONDS = 1000, PAUSE_MILLISECONDS = 100 };

static volatile sig_atomic_t terminated;

static void note_signal(int number) {
    (void)number;
    terminated = 1;
}

/* What people are told, in the form that kubernaut reads. */
static void end(int code, const char *reason, const char *message) {
    fprintf(stderr, "%s\n", message);
    const char *path = getenv("KUBERNAUT_TERMINATION_LOG");
    FILE *file = fopen(path != NULL && *path != '\0' ? path : "/dev/termination-log", "r+");
    if (file != NULL) {
        fprintf(file, "{\"v\":1,\"executed\":\"no\",\"outcome\":\"failed\",\"reason\":\"%s\",\"message\":\"%s\"}", reason,
                message);
        fclose(file);
    }
    exit(code);
}

/* The inputs: a variable, else a file, else standard input unless that is a terminal. */
static const char *read_inputs(void) {
    static char text[MOST_INPUTS];
    const char *given = getenv("ACTION_INPUTS");
    if (given != NULL && *given != '\0') {
        return given;
    }
    const char *path = getenv("ACTION_INPUTS_FILE");
    FILE *source = stdin;
    if (path != NULL && *path != '\0') {
        source = fopen(path, "r");
    } else if (isatty(STDIN_FILENO)) {
        source = NULL;
    }
    size_t length = source != NULL ? fread(text, 1, sizeof text - 1, source) : 0;
    if (length == 0) {
        end(BAD_INPUTS, "InvalidInputs", "no inputs");
    }
    return text;
}

/* Where the value of a name begins. The contract lets no quotes into values, so that a name cannot stand in one. */
static const char *find(const char *inputs, const char *name) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = strstr(inputs, quoted);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(quoted);
    return at + strspn(at, " \t\r\n:");
}

static long number(const char *inputs, const char *name, long otherwise) {
    const char *at = find(inputs, name);
    return at != NULL ? strtol(at, NULL, 10) : otherwise;
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int connects(const struct sockaddr_in *target) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0) {
        return 0;
    }
    fcntl(connection, F_SETFL, O_NONBLOCK);
    int taken = connect(connection, (const struct sockaddr *)target, sizeof *target) == 0;
    if (!taken && errno == EINPROGRESS) {
        struct pollfd waiting = {.fd = connection, .events = POLLOUT};
        int error = 0;
        socklen_t size = sizeof error;
        taken = poll(&waiting, 1, TRY_MILLISECONDS) == 1 &&
                getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
    }
    close(connection);
    return taken;
}

int main(void) {
    /* Process 1 of a container ignores SIGTERM unless it says otherwise. */
    struct sigaction action = {.sa_handler = note_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    const char *inputs = read_inputs();
    const char *address = find(inputs, "address");
    long port = number(inputs, "port", 0), seconds = number(inputs, "seconds", 30);
    char text[INET_ADDRSTRLEN] = "";
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (address == NULL || sscanf(address, "\"%15[0-9.]\"", text) != 1 ||
        inet_pton(AF_INET, text, &target.sin_addr) != 1) {
        end(BAD_INPUTS, "InvalidInputs", "address is missing, or is no IPv4 address");
    }
    if (port < 1 || port > 65535) {
        end(BAD_INPUTS, "InvalidInputs", "port must be between 1 and 65535");
    }

    long began = milliseconds(), deadline = began + seconds * 1000;
    while (!connects(&target)) {
        if (terminated) {
            end(TERMINATED, "Terminated", "it was told to end");
        }
        if (milliseconds() >= deadline) {
            end(NOT_AS_IT_SHOULD_BE, "NotInTime", "the port took no connection in time");
        }
        struct timespec pause = {.tv_nsec = PAUSE_MILLISECONDS * 1000000L};
        nanosleep(&pause, NULL);
    }
    /* The last line of standard output: the outputs. */
    printf("{\"milliseconds\": %ld}\n", milliseconds() - began);
    return 0;
}
