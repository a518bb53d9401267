/* A publisher or a worker on librabbitmq, as lean as that library allows: a yardstick.
 *
 * client publish|consume HOST PORT USER QUEUE MESSAGES SKIP   (the password is in AMQP_PASSWORD)
 *
 * It says `ready` when it is connected, waits for a line on standard input, and at the end prints three times of
 * CLOCK_MONOTONIC in ns: of the first message, of message number SKIP, and of the last one (confirmed, or acknowledged).
 */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else /* before 0.12 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum { CHANNEL = 1, BODY = 256, WINDOW = 1000, BATCH = 100, PREFETCH = 500, ACK_EVERY = 100 };

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void need(int fine, const char *what) {
  if (!fine) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
  }
}

static void replied(amqp_connection_state_t c, const char *what) {
  need(amqp_get_rpc_reply(c).reply_type == AMQP_RESPONSE_NORMAL, what);
}

static void await_go(void) {
  char line[16];
  printf("ready\n");
  fflush(stdout);
  need(fgets(line, sizeof line, stdin) != NULL, "waiting for the start");
}

/* Which tags are confirmed: they may come out of order, and several at once. */
typedef struct {
  char *each;
  long long below, count;
} confirms_t;

static void settle(confirms_t *confirms, long long tag, int multiple) {
  for (long long at = multiple ? confirms->below : tag; at <= tag; at++)
    if (!confirms->each[at]) confirms->each[at] = 1, confirms->count++;
  if (multiple && tag >= confirms->below) confirms->below = tag + 1;
}

/* Take one confirm, waiting for at most `wait`; returns whether there was one. */
static int take_confirm(amqp_connection_state_t c, confirms_t *confirms, struct timeval wait) {
  amqp_frame_t frame;
  int status = amqp_simple_wait_frame_noblock(c, &frame, &wait);
  if (status == AMQP_STATUS_TIMEOUT) return 0;
  need(status == AMQP_STATUS_OK, "reading a confirm");
  if (frame.frame_type == AMQP_FRAME_METHOD) {
    need(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "being confirmed");
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    settle(confirms, (long long)ack->delivery_tag, ack->multiple);
  }
  amqp_maybe_release_buffers(c);
  return 1;
}

static void publish(amqp_connection_state_t c, const char *queue, long long messages, long long skip) {
  char body[BODY];
  memset(body, 'x', sizeof body);
  amqp_bytes_t bytes = {sizeof body, body};
  amqp_basic_properties_t properties;
  memset(&properties, 0, sizeof properties);
  properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG;
  properties.content_type = amqp_cstring_bytes("application/octet-stream");
  properties.delivery_mode = 2;
  const struct timeval at_once = {0, 0}, long_enough = {60, 0};

  amqp_confirm_select(c, CHANNEL);
  replied(c, "confirm.select");
  await_go();
  confirms_t confirms = {calloc(messages + 1, 1), 1, 0};
  need(confirms.each != NULL, "allocating");
  long long sent = 0, first = now(), mark = 0;
  while (confirms.count < messages) {
    for (int i = 0; i < BATCH && sent < messages && sent - confirms.count < WINDOW; i++, sent++) {
      char id[64];
      snprintf(id, sizeof id, "bench.1.%lld.1.deadbeef", sent);
      properties.message_id = amqp_cstring_bytes(id);
      if (sent == skip) mark = now();
      need(amqp_basic_publish(c, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &properties, bytes) ==
               AMQP_STATUS_OK,
           "publishing");
    }
    if (sent == messages || sent - confirms.count >= WINDOW)
      need(take_confirm(c, &confirms, long_enough), "waiting for a confirm");
    while (take_confirm(c, &confirms, at_once)) {
    }
  }
  free(confirms.each);
  printf("%lld %lld %lld\n", first, mark, now());
}

static void consume(amqp_connection_state_t c, const char *queue, long long messages, long long skip) {
  amqp_basic_qos(c, CHANNEL, 0, PREFETCH, 0);
  replied(c, "basic.qos");
  amqp_basic_consume(c, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  replied(c, "basic.consume");
  await_go();
  long long first = 0, mark = 0;
  for (long long taken = 0; taken < messages; taken++) {
    amqp_envelope_t envelope;
    need(amqp_consume_message(c, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "consuming");
    if (taken == 0) first = now();
    if (taken == skip) mark = now();
    if ((taken + 1) % ACK_EVERY == 0 || taken + 1 == messages)
      need(amqp_basic_ack(c, CHANNEL, envelope.delivery_tag, 1) == AMQP_STATUS_OK, "acknowledging");
    amqp_destroy_envelope(&envelope);
    amqp_maybe_release_buffers(c);
  }
  printf("%lld %lld %lld\n", first, mark, now());
}

int main(int count, char **arguments) {
  need(count == 8, "reading the arguments");
  const char *password = getenv("AMQP_PASSWORD");
  amqp_connection_state_t c = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(c);
  need(amqp_socket_open(socket, arguments[2], atoi(arguments[3])) == AMQP_STATUS_OK, "connecting");
  need(amqp_login(c, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, arguments[4], password ? password : "")
               .reply_type == AMQP_RESPONSE_NORMAL,
       "logging in");
  amqp_channel_open(c, CHANNEL);
  replied(c, "channel.open");
  long long messages = atoll(arguments[6]), skip = atoll(arguments[7]);
  if (strcmp(arguments[1], "publish") == 0)
    publish(c, arguments[5], messages, skip);
  else
    consume(c, arguments[5], messages, skip);
  amqp_connection_close(c, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(c);
  return 0;
}
