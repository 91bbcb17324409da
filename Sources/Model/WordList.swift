/// Common English words: concrete, easy to say and to spell, each at most once.
public enum WordList {
    /// At least 1,296. Nothing that is stored or sent depends on their order.
    public static let words: [String] = text.split(whereSeparator: \.isWhitespace).map(String.init)

    private static let text = """
        abbey academy acorn acrobat actor agate album alder algae alley almond alphabet alpine amber amulet anchor
        ankle antelope anthem antler apple apricot apron aquarium arbor arch archer arena armor arrow artist ash
        aspen asphalt aster athlete atlas attic auburn author autumn avenue avocado axle badge badger badminton
        bagel baker balcony ballad ballet balloon bamboo banana bandana banjo banner barber barley barn baron barrel
        basalt basil basin basket bassoon bath baton bay bayou bazaar beach beacon bead beaker beam bean bear beaver
        bed bee beech beet beetle bell bellows belt bench beret berry bicycle birch bird biscuit bishop bison
        blanket blender blizzard blossom blouse blue bluff board boat bobbin bodega bolt bonfire bongo bonnet book
        boot border botany bottle boulder boulevard bouquet bow bowl box bracelet bracket bramble branch brass brave
        bread breeze brick bridge bridle brisket bronze brook broom brother brown brush bubble bucket buckle buffalo
        buggy bugle bulb bulldog bundle bungalow bunny bureau burrow bus bush butter butterfly button cabbage cabin
        cable cactus cage cake calendar calf calico camel camera camp campus canal canary candle candy cane canoe
        canopy canvas canyon cape captain caramel caravan card cardinal cargo caribou carol carp carpet carrot cart
        carton cashew cashmere castle cat catalog cattle cave cavern cedar celery cellar cello cement center cereal
        chain chair chalet chalk chamber chameleon champion chandelier channel chapel chapter charcoal chariot chart
        chateau cheek cheese cheetah cherry cherub chess chest chestnut chicken chief child chime chimney chin
        chinchilla chisel chocolate choir chord chorus cider cinema cinnamon circle circus citrus city clam clarinet
        classic clay clerk cliff clinic clipper cloak clock cloth cloud clover coach coal coast coaster coat cobalt
        cobbler cobra cocoa coconut coffee coin colander collar colony column comet comic commerce compass concert
        condor cone cookie cooper copilot copper coracle coral cork corn corner cosmos cottage cotton cottonwood
        couch cougar country court cousin cow cowboy coyote crab cradle crane crater crawfish crayon cream creek
        crescent crest cricket crimson crocus croissant crop crow crown cruise crumb crystal cube cuckoo cucumber
        cup curtain curve cushion custard cutlass cycle cymbal cypress daffodil dagger dahlia dairy daisy dam damson
        dance dandelion dawn decade deck deer delta denim desert desk detail dew dial diamond diary dill dingo
        dinner diploma disco dish diver dock doctor dog doll dolphin dome domino donkey door dough dove dragon
        dragonfly drain drama drawer dream dress drift drill drizzle drum dryer duchess duck dumpling dune dust
        eagle early earth easel east echo eclipse edge eel egg eggplant elbow elder elephant elixir elk elm embassy
        ember emblem emerald emperor empire emu engine engraver envelope equator ermine escort estuary evening event
        ewe exhibit express eyebrow fable fabric factory fairy falcon fall family fan farm farmer fawn feather
        fedora fence fennel fern ferret ferry festival fiber fiddle field fiesta fig figure filbert film finch
        finger fir fire fish fjord flag flake flame flamingo flannel flask flax fleece fleet flight flint float
        flock floor florist flour flower flute foam fog foghorn foil folder footpath forest forge fork fort fortress
        fossil foundry fountain fox foyer frame freckle freight fresco friend frigate frog frost fruit fudge funnel
        furnace gable galaxy galleon gallery galley gallop garage garden gardenia garlic garnet gate gauze gazelle
        gecko gelato gem gentle geyser giant gibbon ginger giraffe glacier glade gladiolus glass glider glimmer
        globe glove glue goat goblet gold goldfish golf gondola goose gopher gorge gosling gourd grain grammar
        granary granite grape graph grass grasshopper gravel gravy green greyhound grill grocer grotto grouse grove
        guava guide guitar gulf gull gumdrop guppy gypsum habit hacienda hail hair halo ham hamlet hammer hammock
        hamster hand handbag handle hangar harbor hare harness harp harvest hat hatch hawk hay hazel head heart
        hearth heather hedge hedgehog heirloom helmet hemlock hemp hen herald herb heron herring hexagon hibiscus
        hickory hill hinge hippo history hive hobby hockey hollow holly home honey honeycomb hood hook hoop horizon
        horn hornet horse hostel hotel hour house hub huckleberry hull human hunter husky hut hyacinth hydrant hymn
        ibex ice icicle idea igloo iguana indigo ink inkwell inlet insect iris iron island ivory ivy jackal jacket
        jade jaguar jam jamboree january jar jasmine jasper javelin jaw jazz jelly jellyfish jersey jewel jigsaw
        jockey journal judge juggler juice jukebox july june jungle juniper jury kale kangaroo kayak keel kelp
        kelpie kennel kerchief kernel kettle key keyboard kid kiln king kingdom kiosk kitchen kite kitten kiwi knee
        knight knot koala kumquat label lace lacquer ladder ladle lady lagoon lake lamb lamp land landmark lantern
        lapwing larch lark laser lasso lather lattice laurel lava lavender lawn layer leaf leather ledge lemon lemur
        lens lentil leopard letter lettuce level lever library lichen lid light lightning lilac lily lime limestone
        linden line linen lintel lion lip liquid lizard llama loaf lobby lobster locket locomotive lodge loft log
        loom lotus lounge lumber lunar lunch lung lupine lute lynx lyric macaroni macaw mackerel magnet magnolia
        magpie mail mallet mammoth mandolin mango manor mansion mantle map maple marathon marble march margin
        marigold marina market marmalade marmot maroon marsh mask mason mast mastiff mat match maypole meadow meal
        medal meerkat melody melon menu merchant mercury mesa metal meteor metro mica middle midnight milestone milk
        mill mimosa minaret mineral minnow mint minute mirror mist mistletoe mitten moat moccasin model mole moment
        monday money mongoose monkey monsoon month moon moose morning mosaic moss moth motor mountain mouse mouth
        muffin mulberry mule mural muscle museum mushroom music mussel mustard myrtle nail name napkin narwhal navy
        nebula neck nectar needle nephew nest net nettle nickel night nightingale nomad noodle noon north nose note
        notebook nougat novel nurse nut nutmeg nutshell oak oasis oat obelisk oboe ocean ocelot ochre octave october
        octopus office oil okra olive onion onyx opal opera orange orbit orca orchard orchid oregano organ origami
        oriole ornament osprey ostrich otter oval oven owl oxbow oxygen oyster paddle paddock page pagoda pail paint
        palace palette palm pan panda panel pansy panther papaya paper paprika parade parasol parcel parchment park
        parrot parsley parsnip partridge party passage pasta pastel pasture patch path patio pattern pavilion paw
        pea peach peacock peak peanut pear pearl pebble pecan pedal pelican pen pencil pendant penguin pennant peony
        pepper perch perfume pergola persimmon petal petunia pewter pheasant piano piccolo pickle picnic picture pie
        pier pigeon pillow pilot pine pinecone pink pinwheel pioneer pipe pirate pistachio pitcher pizza planet
        plank plant planter plate plateau platform platypus plaza plover plum plume pocket poem poet polar polka
        pollen pomelo pond pony pool poplar poppy porch porcupine porridge port portrait postcard postman potato
        potter pottery powder prairie pretzel primrose prince prism prune puddle puffin pulley puma pump pumpkin
        puppet puppy purple puzzle pyramid python quail quarry quarter quartz queen quill quilt quince quiver quiz
        quokka rabbit raccoon radar radio radish raft rail rain rainbow raisin ramp rampart ranch rapids raspberry
        rattan raven ravine razor recipe record red redwood reed reef reindeer relay reptile reservoir resin rhubarb
        rhyme ribbon rice rickshaw riddle ridge ring river road robin robot rock rocket roof room rooster root rope
        rose rosebud rosemary rover royal rubber ruby rudder rug ruler runway russet rust rye saddle saffron sage
        sail salad salmon salsa salt sand sandal sandstone sapling sapphire sardine satchel satin saturn sauce
        saucer savanna sawmill saxophone scale scallop scarf scarlet scepter school science scooter scout screen
        screw script sculptor sea seagull seal seashell season seat secret seed sentry sequoia sesame shadow shale
        shamrock shark shed sheep shelf shell shelter shepherd sherbet shield ship shirt shoe shore shovel shower
        shrimp shrub shutter shuttle siesta silk silver singer siren sister skate sketch ski skirt sky skylark slate
        sled sleeve slipper slope sloth smile smoke snail snorkel snow snowflake soap soccer sock sofa soil solar
        soldier sombrero songbird sonnet sorbet sorrel soup south spade spaniel spark sparrow spatula spear sphere
        spice spider spinach spindle spinner spiral spoke sponge spoon spring sprout spruce spyglass square squash
        squid squirrel stable stadium staff stage stair stallion stamp star starfish starling station statue steam
        steel steeple stem step stew stick stilt stingray stone stool stork storm story stove straw stream streamer
        street string stripe studio suede sugar suit summer summit sun sunday sundial sunflower sunset surf swallow
        swan sweater swift swing switch sword sycamore symbol syrup table tablet tackle tadpole tail tailor tamarind
        tambourine tangerine tango tank tapestry tapioca target tart tea teacher teacup teak team teapot teddy
        telescope temple tennis tent terrace theater thermos thicket thimble thistle thread throne thumb thunder
        thyme ticket tide tiger tile timber tin tinsel toad toast toboggan today toffee token tomato tongs tool
        tooth topaz topiary torch tortoise totem toucan towel tower town toy track tractor trail train tram trapeze
        tray treasure tree trellis triangle tribe trolley trombone trophy trout trowel truck trumpet trunk tuba
        tugboat tulip tuna tundra tunic tunnel turbine turkey turnip turquoise turret turtle tusk tutor tweed twig
        twilight twine umbrella uncle unicorn uniform union universe upland urchin urn vacuum valet valley valve van
        vanilla vapor vase vault veil velvet vendor verse vessel vest viaduct view village vine vinegar vineyard
        vintage viola violet violin visitor vista vitamin volcano volley voyage vulture waffle wagon waist wall
        wallet walnut walrus waltz wander warbler wardrobe wasp watch water waterfall wave wax weasel weather weaver
        wedge week well west whale wharf wheat wheel whisker whistle white wicker widow willow wind windmill window
        wing winter wire wisteria wizard wolf wombat wonder wood woodland woodpecker wool word workshop world worm
        wreath wren wrist writer yacht yak yam yard yarn year yearling yeast yellow yew yodel yogurt yolk zebra
        zenith zephyr zero zinc zinnia zipper zodiac zone zoo zucchini
        """
}
