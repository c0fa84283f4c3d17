/* Eclipse Paho's C client against a server: subscribes, publishes with every QoS, and checks what comes
   back. Used by peers_e2e.mjs.
     paho_peer URI 4|5 CLIENT_ID USERNAME PASSWORD TOPIC [CA_FILE]
   Prints "ok" and exits 0, or says what went wrong and exits 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <MQTTClient.h>

static void need(int good, const char* what, int code) {
  if (good) return;
  fprintf(stderr, "%s: %d %s\n", what, code, MQTTClient_strerror(code));
  exit(1);
}

static void publish(MQTTClient client, int version, const char* topic, int qos) {
  MQTTClient_message message = MQTTClient_message_initializer;
  char payload[32];
  snprintf(payload, sizeof payload, "at most %d", qos);
  message.payload = payload;
  message.payloadlen = (int)strlen(payload);
  message.qos = qos;
  MQTTClient_deliveryToken token = 0;
  int rc = MQTTCLIENT_SUCCESS;
  if (version == 5) {
    MQTTProperty property;
    property.identifier = MQTTPROPERTY_CODE_USER_PROPERTY;
    property.value.data.data = (char*)"made-by";
    property.value.data.len = 7;
    property.value.value.data = (char*)"paho";
    property.value.value.len = 4;
    MQTTProperties_add(&message.properties, &property);
    const MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
    rc = (int)response.reasonCode;
    MQTTResponse_free(response);
    MQTTProperties_free(&message.properties);
  } else {
    rc = MQTTClient_publishMessage(client, topic, &message, &token);
  }
  need(rc == MQTTCLIENT_SUCCESS, "publish", rc);
  if (qos > 0) {
    rc = MQTTClient_waitForCompletion(client, token, 30000);
    need(rc == MQTTCLIENT_SUCCESS, "acknowledgement", rc);
  }
  char* name = NULL;
  int length = 0;
  MQTTClient_message* got = NULL;
  rc = MQTTClient_receive(client, &name, &length, &got, 30000);
  need((rc == MQTTCLIENT_SUCCESS || rc == MQTTCLIENT_TOPICNAME_TRUNCATED) && got != NULL, "receive", rc);
  need(got->qos == qos, "QoS of what came back", got->qos);
  need(got->payloadlen == message.payloadlen && memcmp(got->payload, payload, strlen(payload)) == 0, "payload", 0);
  if (version == 5)
    need(MQTTProperties_hasProperty(&got->properties, MQTTPROPERTY_CODE_USER_PROPERTY), "user property", 0);
  MQTTClient_freeMessage(&got);
  MQTTClient_free(name);
}

int main(int argc, char** argv) {
  if (argc < 7) return fprintf(stderr, "see the head of paho_peer.c\n"), 1;
  const int version = atoi(argv[2]);
  MQTTClient client;
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  create.MQTTVersion = version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  int rc = MQTTClient_createWithOptions(&client, argv[1], argv[3], MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
  need(rc == MQTTCLIENT_SUCCESS, "create", rc);
  MQTTClient_connectOptions four = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions five = MQTTClient_connectOptions_initializer5;
  MQTTClient_connectOptions* options = version == 5 ? &five : &four;
  MQTTClient_SSLOptions ssl = MQTTClient_SSLOptions_initializer;
  options->MQTTVersion = create.MQTTVersion;
  options->username = argv[4];
  options->password = argv[5];
  if (argc > 7) {
    ssl.trustStore = argv[7];
    ssl.verify = 1;
    options->ssl = &ssl;
  }
  if (version == 5) {
    options->cleanstart = 1;
    const MQTTResponse response = MQTTClient_connect5(client, options, NULL, NULL);
    rc = (int)response.reasonCode;
    MQTTResponse_free(response);
  } else {
    options->cleansession = 1;
    rc = MQTTClient_connect(client, options);
  }
  need(rc == MQTTCLIENT_SUCCESS, "connect", rc);
  if (version == 5) {
    const MQTTResponse response = MQTTClient_subscribe5(client, argv[6], 2, NULL, NULL);
    need(response.reasonCode == MQTTREASONCODE_GRANTED_QOS_2, "subscribe", (int)response.reasonCode);
    MQTTResponse_free(response);
  } else {
    rc = MQTTClient_subscribe(client, argv[6], 2);
    need(rc == MQTTCLIENT_SUCCESS, "subscribe", rc);
  }
  for (int qos = 0; qos <= 2; ++qos) publish(client, version, argv[6], qos);
  if (version == 5)
    rc = MQTTClient_disconnect5(client, 10000, MQTTREASONCODE_SUCCESS, NULL);
  else
    rc = MQTTClient_disconnect(client, 10000);
  need(rc == MQTTCLIENT_SUCCESS, "disconnect", rc);
  MQTTClient_destroy(&client);
  puts("ok");
  return 0;
}
