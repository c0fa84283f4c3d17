/* Eclipse Paho's C client at QoS 1, its in-flight messages persisted in a folder: after a kill -9 it sends them by
   itself. At most WINDOW are in flight.
     paho HOST:PORT DEVICE TOKEN BASE_MS FIRST FOLDER */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <MQTTClient.h>

enum { WINDOW = 50, PERIOD_MS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long long last_number = -1; /* -1: not said yet */

static void* listen_to_run(void* unused) {
  char line[64];
  long long n = 0;
  while (fgets(line, sizeof line, stdin))
    if (sscanf(line, "until %lld", &n) == 1) {
      pthread_mutex_lock(&lock);
      last_number = n;
      pthread_mutex_unlock(&lock);
    }
  exit(0); /* the run is gone */
  return unused;
}

static long long until(void) {
  pthread_mutex_lock(&lock);
  const long long n = last_number;
  pthread_mutex_unlock(&lock);
  return n;
}

static long long now_ms(void) {
  struct timeval t;
  gettimeofday(&t, NULL);
  return (long long)t.tv_sec * 1000 + t.tv_usec / 1000;
}

static void sleep_ms(long long ms) {
  const struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
  nanosleep(&t, NULL);
}

static int connect_until_done(MQTTClient client, const char* device, const char* token) {
  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
  options.username = device;
  options.password = token;
  options.cleansession = 0;
  options.connectTimeout = 5;
  options.retryInterval = 0;
  options.reliable = 0; /* several in flight */
  /* More than what a run before left and what we open: else publish() waits for acknowledgements, with our lock. */
  options.maxInflightMessages = 4 * WINDOW;
  int rc = MQTTCLIENT_FAILURE;
  while ((rc = MQTTClient_connect(client, &options)) != MQTTCLIENT_SUCCESS) sleep_ms(200);
  return rc;
}

static int arrived(void* context, char* topic, int size, MQTTClient_message* message) {
  (void)context, (void)size;
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  return 1;
}

static void lost(void* context, char* cause) {
  (void)context, (void)cause;
}

/* By message id; its lock is held while a message is published, so that its number is there when it is needed. */
static long long numbers[65536];
static int in_flight = 0;

static void delivered(void* context, MQTTClient_deliveryToken token) {
  (void)context;
  pthread_mutex_lock(&lock);
  if (numbers[token & 65535] >= 0) {
    printf("acked %lld\n", numbers[token & 65535]);
    fflush(stdout);
    numbers[token & 65535] = -1;
    --in_flight;
  }
  pthread_mutex_unlock(&lock);
}

static int flying(void) {
  pthread_mutex_lock(&lock);
  const int n = in_flight;
  pthread_mutex_unlock(&lock);
  return n;
}

static int publish(MQTTClient client, const char* topic, long long base, long long n) {
  char text[200];
  const int size = snprintf(text, sizeof text, "{\"ts\":%lld,\"values\":{\"dischargePressure\":%.3f,\"oilTemperature\":%.1f}}",
                            base + n * PERIOD_MS, (double)(6000 + n % 1000) / 1000, (double)(700 + n % 97) / 10);
  MQTTClient_deliveryToken token = 0;
  pthread_mutex_lock(&lock);
  const int rc = MQTTClient_publish(client, topic, size, text, 1, 0, &token);
  if (rc == MQTTCLIENT_SUCCESS) {
    numbers[token & 65535] = n;
    ++in_flight;
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

int main(int argc, char** argv) {
  if (argc != 7) return fprintf(stderr, "see the head of paho.c\n"), 1;
  char uri[200], topic[200];
  snprintf(uri, sizeof uri, "tcp://%s", argv[1]);
  snprintf(topic, sizeof topic, "devices/%s/telemetry", argv[2]);
  const long long base = atoll(argv[4]);
  long long n = atoll(argv[5]);
  for (int i = 0; i < 65536; ++i) numbers[i] = -1;
  MQTTClient client;
  if (MQTTClient_create(&client, uri, argv[2], MQTTCLIENT_PERSISTENCE_DEFAULT, argv[6]) != MQTTCLIENT_SUCCESS) return 1;
  MQTTClient_setCallbacks(client, NULL, lost, arrived, delivered);
  pthread_t thread;
  pthread_create(&thread, NULL, listen_to_run, NULL);
  for (;;) {
    /* After a reconnection the library sends what is in flight again, by itself. */
    if (!MQTTClient_isConnected(client)) connect_until_done(client, argv[2], argv[3]);
    const long long last = until();
    if (base + n * PERIOD_MS > now_ms() || (last >= 0 && n > last) || flying() >= WINDOW) {
      sleep_ms(5);
      continue;
    }
    if (publish(client, topic, base, n) == MQTTCLIENT_SUCCESS) ++n;
  }
}
