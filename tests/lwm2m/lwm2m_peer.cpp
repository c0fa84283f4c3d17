// An LwM2M client for tests, driven by JSON lines on its standard input; what happens comes as JSON
// lines on its standard output. It ends when its input ends.
//   lwm2m_peer --server coap://127.0.0.1:5683 --endpoint NAME [--lifetime S] [--binding U]
//   [--queue]
//     [--identity ID --key HEX | --ca F --certificate F --private-key F] [--format 110|112|11542]
//     [--bootstrap URI --bootstrap-identity ID --bootstrap-key HEX]
// Commands:
// {"do":"register"|"bootstrap"|"update"|"deregister"|"reconnect"|"set"|"send"|"create"|"port"|
//   "replay"|"sleep"|"wake"|"flood"|"raw"|"state"|"exit", …}; see run_command().

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>

#include <unistd.h>

#include "client.h"

namespace lwm2m_peer {
namespace {

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

Value value_of(const Json& json, const Path& path) {
  const Type type = type_of(path);
  if (json.is_boolean()) return Value::of_boolean(json.get<bool>());
  if (json.is_string())
    return type == Type::kOpaque ? Value::of_opaque(base64url_decode(json.get<std::string>()))
                                 : Value::of_string(json.get<std::string>());
  if (json.is_number_integer()) return convert(Value::of_integer(json.get<int64_t>()), type);
  return convert(Value::of_float(json.get<double>()), type);
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<std::string> texts(const Json& command, const char* name) {
  return command.contains(name) ? command[name].get<std::vector<std::string>>()
                                : std::vector<std::string>{};
}

void send_command(Client& client, const Json& command) {
  std::vector<Record> records;
  for (const Json& one : command.at("records")) {
    const Path path = Path::parse(one.at("path").get<std::string>());
    records.push_back({path, value_of(one.at("value"), path), one.value("time", now_s())});
  }
  client.send(command.value("id", int64_t{0}), std::move(records),
              command.value("format", kSenmlCbor));
}

void raw_command(Client& client, const Json& command) {
  Message message;
  message.method = static_cast<Method>(command.value("method", 1));
  message.path = texts(command, "path");
  message.query = texts(command, "query");
  if (command.contains("format")) message.format = command["format"].get<int>();
  if (command.contains("accept")) message.accept = command["accept"].get<int>();
  message.body = from_hex(command.value("hex", "")) + command.value("text", "");
  client.raw(command.value("id", int64_t{0}), message);
}

void network_command(Client& client, const std::string& name, const Client::Say& say) {
  Relay* relay = client.transport().relay();
  if (!relay) return say({{"event", "error"}, {"why", "only over UDP"}});
  if (name == "port") relay->renew_port();
  if (name == "replay") relay->replay();
  if (name == "sleep") relay->sleep(true);
  if (name == "wake") {
    relay->sleep(false);
    client.update({});
  }
  say({{"event", name}, {"port", relay->outer_port()}, {"lost", relay->lost_while_asleep()}});
}

void run_command(Client& client, const Json& command, const Client::Say& say) {
  const std::string name = command.at("do").get<std::string>();
  if (name == "register") return client.keep_registered();
  if (name == "bootstrap") return client.bootstrap();
  if (name == "update") return client.update(texts(command, "query"));
  if (name == "deregister") return client.deregister();
  if (name == "reconnect") return client.reconnect(command.value("same_port", false));
  if (name == "send") return send_command(client, command);
  if (name == "raw") return raw_command(client, command);
  if (name == "state") return say(client.state());
  if (name == "flood")
    return client.flood(texts(command, "path"), command.value("bytes", uint64_t{1} << 30));
  if (name == "port" || name == "replay" || name == "sleep" || name == "wake")
    return network_command(client, name, say);
  if (name == "exit") std::_Exit(0);
  const Path path = Path::parse(command.at("path").get<std::string>());
  if (name == "set")
    return client.sample(path, value_of(command.at("value"), path), command.value("time", now_s()));
  if (name == "create") {
    client.objects().create(path.ids.at(0), path.ids.size() > 1 ? path.ids[1] : -1, {});
    return;
  }
  say({{"event", "error"}, {"why", "no such command: " + name}});
}

ClientOptions options_of(int argc, char** argv) {
  ClientOptions o;
  const std::map<std::string, std::string*> texts_of{
      {"--server", &o.server},
      {"--endpoint", &o.endpoint},
      {"--binding", &o.binding},
      {"--identity", &o.security.identity},
      {"--ca", &o.security.ca},
      {"--certificate", &o.security.certificate},
      {"--private-key", &o.security.private_key},
      {"--bootstrap", &o.bootstrap},
      {"--bootstrap-identity", &o.bootstrap_security.identity}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--queue") {
      o.queue_mode = true;
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error("no value for " + name);
    const std::string value = argv[++i];
    if (const auto found = texts_of.find(name); found != texts_of.end())
      *found->second = value;
    else if (name == "--lifetime")
      o.lifetime_s = std::stoi(value);
    else if (name == "--format")
      o.format = std::stoi(value);
    else if (name == "--key")
      o.security.key = from_hex(value);
    else if (name == "--bootstrap-key")
      o.bootstrap_security.key = from_hex(value);
    else
      throw std::runtime_error("unknown option " + name);
  }
  return o;
}

int run(int argc, char** argv) {
  const Client::Say say = [](const Json& event) { std::cout << event.dump() << std::endl; };
  Client client(options_of(argc, argv), say);
  std::mutex mutex;
  std::deque<std::string> lines;
  std::thread([&] {
    for (std::string line; std::getline(std::cin, line);) {
      const std::lock_guard lock(mutex);
      lines.push_back(line);
    }
    std::_Exit(0);  // whoever drives us is gone
  }).detach();
  for (;;) {
    std::deque<std::string> now;
    {
      const std::lock_guard lock(mutex);
      now.swap(lines);
    }
    for (const std::string& line : now) {
      try {
        run_command(client, Json::parse(line), say);
      } catch (const std::exception& error) {
        say({{"event", "error"}, {"why", error.what()}});
      } catch (const Refused& refused) {
        say({{"event", "error"}, {"code", refused.code}});
      }
    }
    client.run(10);
  }
}

}  // namespace
}  // namespace lwm2m_peer

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return lwm2m_peer::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
