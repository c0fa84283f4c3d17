/* Eclipse Paho's C client at QoS 1, its in-flight messages persisted in a folder: after a kill -9 it sends them by
   itself. A window of messages is published, then each is waited for.
     paho HOST:PORT DEVICE TOKEN BASE_MS FIRST FOLDER */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <MQTTClient.h>

enum { WINDOW = 10, PERIOD_MS = 20 };

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
  int rc = MQTTCLIENT_FAILURE;
  while ((rc = MQTTClient_connect(client, &options)) != MQTTCLIENT_SUCCESS) sleep_ms(200);
  return rc;
}

/* Publishes samples first to last and waits for each. 0 when all are acknowledged. */
static int publish_window(MQTTClient client, const char* topic, long long base, long long first, long long last) {
  MQTTClient_deliveryToken tokens[WINDOW];
  for (long long n = first; n <= last; ++n) {
    char text[200];
    const int size = snprintf(text, sizeof text, "{\"ts\":%lld,\"values\":{\"dischargePressure\":%.3f,\"oilTemperature\":%.1f}}",
                              base + n * PERIOD_MS, (double)(6000 + n % 1000) / 1000, (double)(700 + n % 97) / 10);
    if (MQTTClient_publish(client, topic, size, text, 1, 0, &tokens[n - first]) != MQTTCLIENT_SUCCESS) return 1;
  }
  for (long long n = first; n <= last; ++n) {
    if (MQTTClient_waitForCompletion(client, tokens[n - first], 10000) != MQTTCLIENT_SUCCESS) return 1;
    printf("acked %lld\n", n);
  }
  fflush(stdout);
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 7) return fprintf(stderr, "see the head of paho.c\n"), 1;
  char uri[200], topic[200];
  snprintf(uri, sizeof uri, "tcp://%s", argv[1]);
  snprintf(topic, sizeof topic, "devices/%s/telemetry", argv[2]);
  const long long base = atoll(argv[4]);
  long long n = atoll(argv[5]);
  MQTTClient client;
  if (MQTTClient_create(&client, uri, argv[2], MQTTCLIENT_PERSISTENCE_DEFAULT, argv[6]) != MQTTCLIENT_SUCCESS) return 1;
  pthread_t thread;
  pthread_create(&thread, NULL, listen_to_run, NULL);
  for (;;) {
    if (!MQTTClient_isConnected(client)) connect_until_done(client, argv[2], argv[3]);
    long long last = (now_ms() - base) / PERIOD_MS;
    const long long end = until();
    if (end >= 0 && last > end) last = end;
    if (last >= n + WINDOW) last = n + WINDOW - 1;
    if (last < n) {
      sleep_ms(50);
      continue;
    }
    if (publish_window(client, topic, base, n, last) == 0)
      n = last + 1;
    else
      MQTTClient_disconnect(client, 0);
  }
}
