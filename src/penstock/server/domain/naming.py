"""Names for runs that were given none: an adjective and a creature, joined by a hyphen.

They are for people to tell runs apart in a list; nothing relies on their being unique.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ADJECTIVES = _words(
    """
    able agile airy amber ample azure balmy bold brave brief bright brisk broad busy calm candid
    careful cheery clear clever coastal cobalt cool copper coral cosy crisp curious dapper
    daring deft dewy eager early earnest easy ember fabled fair fancy fine fleet fluent fond
    frank free fresh frosty gentle giddy glad gleaming golden grand green hardy hasty hazel
    hearty honest humble indigo ivory jade jolly jovial keen kind lasting lilac lively lofty
    lucid lunar mellow merry mighty mild mint misty modest mossy neat nimble noble olive opal
    patient placid plain plucky polar polite prime proud pure quick quiet rapid rosy ruby rustic
    sable sage sandy scarlet serene sharp shiny silent silver simple sleek smart snowy solar
    solid spry stable starry steady still stout sturdy sunny supple sure swift tawny teal tender
    tidal tidy tranquil true trusty upbeat urban valiant velvet vivid warm wary whole wise witty
    woven young zesty
    """
)

CREATURES = _words(
    """
    adder albatross alpaca antelope auk avocet badger barbel bat beaver beetle bison bittern
    boar bobcat bream bullfinch bunting bustard buzzard camel carp caribou cat char chough
    cicada civet clam cod condor coot cormorant cow crab crane crayfish cricket crow curlew dace
    deer dingo dipper dolphin dormouse dove dragonfly duck dunlin eagle eel egret elk ermine
    falcon ferret finch firefly flounder fox frog gannet gazelle gecko gibbon goat godwit goose
    goshawk grayling grebe grouse gull haddock hake hare harrier hawk hedgehog heron herring
    hobby hoopoe hornet horse ibex ibis iguana impala jackdaw jaguar jay kestrel kingfisher kite
    kiwi koala lamprey lapwing lark lemming lemur leopard limpet linnet lizard llama lobster
    loon lynx mackerel magpie mallard manatee marlin marmot marten martin merlin mink minnow
    mole moose moth mouse mullet mussel newt nightjar nuthatch ocelot octopus oriole osprey
    otter owl oyster parrot partridge pelican penguin perch petrel pheasant pike pipit plaice
    plover pony porpoise puffin puma quail rabbit raccoon ray raven redstart robin roach rook
    salmon sandpiper seal serval shearwater sheep shrew shrike siskin skate skink skua skylark
    sloth snipe sole sparrow spoonbill squid squirrel starling stoat stork sturgeon swallow swan
    swift tapir tench tern thrush tiger toad treecreeper trout turbot turtle urchin vole wagtail
    walrus warbler weasel whale wheatear whimbrel wigeon wolf wombat woodcock wren yak zander
    zebra
    """
)


def name_for(number: int) -> str:
    """The name that `number` (not negative) picks; equal numbers give equal names."""
    rest, adjective = divmod(number, len(ADJECTIVES))
    return f"{ADJECTIVES[adjective]}-{CREATURES[rest % len(CREATURES)]}"
