#include "app/device_publisher.h"

#include <condition_variable>
#include <mutex>

#include <MQTTAsync.h>

#include "base/log.h"

namespace penstock::app {

namespace {

// Paho's own errors are negative; the others are MQTT 5 reason codes (2.4).
std::string reason(int code) {
  const char* text = code < 0 ? MQTTAsync_strerror(code)
                              : MQTTReasonCode_toString(static_cast<MQTTReasonCodes>(code));
  return text ? text : "reason " + std::to_string(code);
}

}  // namespace

struct DevicePublisher::Impl {
  DevicePublisherOptions options;
  MQTTAsync client = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  int outstanding = 0;
  Outcome outcome;
  bool connected = false;
  bool failed = false;
  std::string why;
  std::function<void(const std::string&, const std::string&)> take;

  ~Impl() {
    if (!client) return;
    MQTTAsync_disconnectOptions goodbye = MQTTAsync_disconnectOptions_initializer;
    goodbye.timeout = 200;
    MQTTAsync_disconnect(client, &goodbye);
    MQTTAsync_destroy(&client);
  }

  void up(bool is_connected) {
    const std::lock_guard lock(mutex);
    connected = is_connected;
    changed.notify_all();
  }
  void refuse(int code, const char* message) {
    const std::lock_guard lock(mutex);
    failed = true;
    why = code > 0 && options.mqtt5 ? reason(code) : message ? message : reason(code);
    changed.notify_all();
  }
  void acknowledge() {
    const std::lock_guard lock(mutex);
    --outstanding;
    ++outcome.acknowledged;
    changed.notify_all();
  }
  void refuse_publish(int code) {
    const std::lock_guard lock(mutex);
    --outstanding;
    if (outcome.refused++ == 0) {
      outcome.why_refused = reason(code);
      log_warning("device", "{}: a publish was refused: {}; only the first is told here",
                  options.device, outcome.why_refused);
    }
    changed.notify_all();
  }

  Status open();
};

Status DevicePublisher::Impl::open() {
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
  create.sendWhileDisconnected = 1;
  create.maxBufferedMessages = 10'000;
  if (!options.mqtt5) create.MQTTVersion = MQTTVERSION_3_1_1;
  const std::string uri = "tcp://" + options.broker.text();
  if (const int code = MQTTAsync_createWithOptions(&client, uri.c_str(), options.device.c_str(),
                                                   MQTTCLIENT_PERSISTENCE_NONE, nullptr, &create);
      code != MQTTASYNC_SUCCESS)
    return fail(ErrorCode::kInternal,
                std::string("the MQTT client could not be made: ") + MQTTAsync_strerror(code));
  MQTTAsync_setConnected(client, this,
                         [](void* self, char*) { static_cast<Impl*>(self)->up(true); });
  MQTTAsync_setCallbacks(
      client, this, [](void* self, char*) { static_cast<Impl*>(self)->up(false); },
      [](void* self, char* topic, int length, MQTTAsync_message* message) {
        auto* me = static_cast<Impl*>(self);
        const std::string name =
            length > 0 ? std::string(topic, static_cast<size_t>(length)) : std::string(topic);
        const std::string payload(static_cast<const char*>(message->payload),
                                  static_cast<size_t>(message->payloadlen));
        if (me->take) me->take(name, payload);
        MQTTAsync_freeMessage(&message);
        MQTTAsync_free(topic);
        return 1;
      },
      nullptr);

  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions connect5 = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_connectOptions& use = options.mqtt5 ? connect5 : connect;
  use.keepAliveInterval = 30;
  use.maxInflight = options.in_flight_max;
  use.automaticReconnect = 1;
  use.minRetryInterval = 1;
  use.maxRetryInterval = 30;
  use.context = this;
  if (!options.token.empty()) {
    use.username = options.device.c_str();
    use.password = options.token.c_str();
  }
  if (options.mqtt5) {
    use.cleanstart = 1;
    use.onFailure5 = [](void* self, MQTTAsync_failureData5* data) {
      static_cast<Impl*>(self)->refuse(data->reasonCode, data->message);
    };
  } else {
    use.cleansession = 1;
    use.onFailure = [](void* self, MQTTAsync_failureData* data) {
      static_cast<Impl*>(self)->refuse(data->code, data->message);
    };
  }
  if (const int code = MQTTAsync_connect(client, &use); code != MQTTASYNC_SUCCESS)
    return fail(ErrorCode::kUnavailable, std::string("cannot connect: ") + MQTTAsync_strerror(code),
                options.device);
  std::unique_lock lock(mutex);
  if (!changed.wait_for(lock, std::chrono::seconds(10), [&] { return connected || failed; }))
    return fail(ErrorCode::kTimeout, "the broker did not answer CONNECT within 10 s",
                options.broker.text());
  if (failed)
    return fail(ErrorCode::kPermissionDenied, "the broker refused the connection: " + why,
                options.device);
  return {};
}

DevicePublisher::DevicePublisher() : impl_(std::make_unique<Impl>()) {}
DevicePublisher::DevicePublisher(DevicePublisher&&) noexcept = default;
DevicePublisher& DevicePublisher::operator=(DevicePublisher&&) noexcept = default;
DevicePublisher::~DevicePublisher() = default;

Result<DevicePublisher> DevicePublisher::connect(const DevicePublisherOptions& options) {
  DevicePublisher publisher;
  publisher.impl_->options = options;
  TRY(publisher.impl_->open());
  return publisher;
}

Status DevicePublisher::publish(const std::string& topic, const std::string& payload) {
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->changed.wait_for(lock, std::chrono::seconds(60),
                                 [&] { return impl_->outstanding < impl_->options.in_flight_max; }))
      return fail(ErrorCode::kTimeout, "nothing was acknowledged for a minute",
                  impl_->options.device);
    ++impl_->outstanding;
  }
  MQTTAsync_message message = MQTTAsync_message_initializer;
  message.payload = const_cast<char*>(payload.data());  // Paho copies it
  message.payloadlen = static_cast<int>(payload.size());
  message.qos = 1;
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.context = impl_.get();
  if (impl_->options.mqtt5) {
    response.onSuccess5 = [](void* self, MQTTAsync_successData5*) {
      static_cast<Impl*>(self)->acknowledge();
    };
    response.onFailure5 = [](void* self, MQTTAsync_failureData5* data) {
      const bool answered = data && data->reasonCode != MQTTREASONCODE_SUCCESS;
      static_cast<Impl*>(self)->refuse_publish(answered ? static_cast<int>(data->reasonCode)
                                               : data   ? data->code
                                                        : MQTTASYNC_FAILURE);
    };
  } else {
    response.onSuccess = [](void* self, MQTTAsync_successData*) {
      static_cast<Impl*>(self)->acknowledge();
    };
    response.onFailure = [](void* self, MQTTAsync_failureData* data) {
      static_cast<Impl*>(self)->refuse_publish(data ? data->code : MQTTASYNC_FAILURE);
    };
  }
  if (const int code = MQTTAsync_sendMessage(impl_->client, topic.c_str(), &message, &response);
      code != MQTTASYNC_SUCCESS) {
    impl_->refuse_publish(code);
    return fail(ErrorCode::kUnavailable, std::string("publish failed: ") + MQTTAsync_strerror(code),
                topic);
  }
  return {};
}

Status DevicePublisher::flush(int timeout_ms) {
  std::unique_lock lock(impl_->mutex);
  if (!impl_->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                               [&] { return impl_->outstanding == 0; }))
    return fail(ErrorCode::kTimeout,
                std::to_string(impl_->outstanding) + " messages were not acknowledged in time",
                impl_->options.device);
  return {};
}

DevicePublisher::Outcome DevicePublisher::outcome() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->outcome;
}

Status DevicePublisher::on_command(
    std::function<void(const std::string&, const std::string&)> take) {
  impl_->take = std::move(take);
  const std::string filter = "devices/" + impl_->options.device + "/commands/#";
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  if (const int code = MQTTAsync_subscribe(impl_->client, filter.c_str(), 1, &response);
      code != MQTTASYNC_SUCCESS)
    return fail(ErrorCode::kUnavailable,
                std::string("subscribe failed: ") + MQTTAsync_strerror(code), filter);
  return {};
}

}  // namespace penstock::app
