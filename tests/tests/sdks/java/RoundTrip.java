import io.opentelemetry.api.baggage.propagation.W3CBaggagePropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Hands baggage on as an application does: read from the incoming request, written into the outgoing one.
 *
 * <p>A line of standard input is the baggage of a request; a line of standard output is what goes out.
 */
public final class RoundTrip {
  private static final TextMapGetter<Map<String, String>> GETTER =
      new TextMapGetter<>() {
        @Override
        public Iterable<String> keys(Map<String, String> headers) {
          return headers.keySet();
        }

        @Override
        public String get(Map<String, String> headers, String name) {
          return headers.get(name);
        }
      };

  public static void main(String[] none) throws IOException {
    W3CBaggagePropagator propagator = W3CBaggagePropagator.getInstance();
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line; (line = lines.readLine()) != null; ) {
      Context context = propagator.extract(Context.root(), Map.of("baggage", line), GETTER);
      Map<String, String> outgoing = new HashMap<>();
      propagator.inject(context, outgoing, Map::put);
      out.println(outgoing.getOrDefault("baggage", ""));
    }
  }
}
